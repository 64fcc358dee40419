"""The pointer to the current release: read, written, remembered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tasks.runtime.errors import DamagedError, StoreError
from tasks.store.files import read_json, write_json_atomically
from tasks.store.layout import Store
from tasks.store.names import is_release_id, split_release_id

_HISTORY: Final = 100  # formerly active releases that the pointer remembers, for rollback


class PointerDamagedError(DamagedError):
    """What current.json says cannot be believed."""


@dataclass(frozen=True)
class Pointer:
    """What current.json says: the active release, and those active before it, the latest last.

    `left` has the moments (ISO 8601, UTC) at which readers were led away from releases.
    """

    release_id: str
    history: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def as_of(self) -> dt.date:
        """The date of the active release."""
        return split_release_id(self.release_id)[0]


def read_pointer(store: Store) -> Pointer | None:
    """Return the pointer, None before the first release; PointerDamagedError if it cannot be believed."""
    if not store.pointer.exists():
        return None
    way_out = "`nightshelf publish <id>`, with one of `nightshelf releases`, leads readers again"
    try:
        content = read_json(store.pointer)
    except StoreError as error:
        raise PointerDamagedError(f"{error}; {way_out}") from None
    release_id, history = content.get("release_id"), content.get("history", [])
    left = content.get("left", {})
    known = [release_id, *history, *left] if isinstance(history, list) and isinstance(left, dict) else [None]
    if not all(is_release_id(name) for name in known):
        raise PointerDamagedError(
            f"expected release ids in {store.pointer}, got {release_id!r} and history {history!r}; {way_out}"
        )
    return Pointer(str(release_id), tuple(history), left)


def write_pointer(store: Store, release_id: str, history: tuple[str, ...], before: Pointer | None) -> None:
    """Point readers to a release, which is there and whole, atomically; `before` is where they were."""
    as_of, _ = split_release_id(release_id)
    now = dt.datetime.now(dt.UTC)
    left = {**before.left, before.release_id: now.isoformat(timespec="milliseconds")} if before else {}
    content = {
        "release_id": release_id,
        "as_of": as_of,
        "published_at": now.isoformat(timespec="seconds"),
        "history": [former for former in history if former != release_id][-_HISTORY:],
        "left": dict(sorted(left.items(), key=lambda one: one[1])[-_HISTORY:]),
    }
    write_json_atomically(store.pointer, content)
