"""The pointer to the current release, and its history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tasks.runtime.errors import DamagedError, StoreError
from tasks.store.files import read_json, write_json_atomically
from tasks.store.layout import Store
from tasks.store.names import is_release_id, split_release_id

_HISTORY: Final = 100  # formerly active releases kept in the pointer, for rollback


class PointerDamagedError(DamagedError):
    """The content of current.json is invalid."""


@dataclass(frozen=True)
class Pointer:
    """The content of current.json: the active release and those active before it, oldest first.

    `left_at` maps releases to the times (ISO 8601, UTC) when the pointer moved away from them.
    """

    release_id: str
    history: tuple[str, ...] = ()
    left_at: Mapping[str, str] = field(default_factory=dict)

    @property
    def as_of(self) -> dt.date:
        """The date of the active release."""
        return split_release_id(self.release_id)[0]


def read_pointer(store: Store) -> Pointer | None:
    """Return the pointer, None before the first release; PointerDamagedError if it is invalid."""
    if not store.pointer.exists():
        return None
    remedy = "`nightshelf publish <id>`, with an id of `nightshelf releases`, writes it again"
    try:
        content = read_json(store.pointer)
    except StoreError as error:
        raise PointerDamagedError(f"{error}; {remedy}") from None
    release_id, history = content.get("release_id"), content.get("history", [])
    left_at = content.get("left", {})
    valid_types = isinstance(history, list) and isinstance(left_at, dict)
    if not valid_types or not all(is_release_id(name) for name in [release_id, *history, *left_at]):
        raise PointerDamagedError(
            f"expected release ids in {store.pointer}, got {release_id!r} and history {history!r}; {remedy}"
        )
    return Pointer(str(release_id), tuple(history), left_at)


def readable_pointer(store: Store) -> Pointer | None:
    """Return the pointer, None if there is none or it is damaged."""
    try:
        return read_pointer(store)
    except PointerDamagedError:
        return None


def write_pointer(store: Store, release_id: str, history: tuple[str, ...], before: Pointer | None) -> None:
    """Point readers to an existing, undamaged release atomically; `before` is the old pointer."""
    as_of, _ = split_release_id(release_id)
    now = dt.datetime.now(dt.UTC)
    left_at = {**before.left_at, before.release_id: now.isoformat(timespec="milliseconds")} if before else {}
    content = {
        "release_id": release_id,
        "as_of": as_of,
        "published_at": now.isoformat(timespec="seconds"),
        "history": [former for former in history if former != release_id][-_HISTORY:],
        "left": dict(sorted(left_at.items(), key=lambda entry: entry[1])[-_HISTORY:]),
    }
    write_json_atomically(store.pointer, content)
