"""The reader's side of the store: the pointer, and releases whose addresses are resolved once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tasks.errors import DamagedError, StoreError
from tasks.files import read_json, write_json_atomically
from tasks.manifest import MANIFEST, file_problems
from tasks.release_database import DATABASE
from tasks.store import Store, is_release_id, split_release_id
from tasks.tables import table

_HISTORY: Final = 100  # formerly active releases that the pointer remembers, for rollback


@dataclass(frozen=True)
class Release:
    """One published release; a later flip of the pointer does not change the addresses it gives.

    `rows` counts those of recommendations, `sequence` the publications so far. When the manifest cannot be
    read, `problem` says why and the figures are 0.
    """

    release_id: str
    as_of: dt.date
    folder: Path
    active: bool
    created_at: str = ""
    expires_at: str = ""
    bytes: int = 0
    rows: int = 0
    sequence: int = 0
    problem: str | None = None

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.folder / DATABASE

    def table(self, name: str) -> Path:
        """Return the Parquet file of one table; UserError for an unknown name."""
        return self.folder / f"{table(name).name}.parquet"

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; StoreError when it is unreadable."""
        return read_json(self.folder / MANIFEST)


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


def current(store: Store) -> Release:
    """Return the active release; StoreError when nothing is published or the pointer leads nowhere."""
    pointer = read_pointer(store)
    if pointer is None:
        raise StoreError(f"nothing is published in {store.root} yet; run a night first")
    return open_release(store, pointer.release_id)


def open_release(store: Store, release_id: str) -> Release:
    """Return one release by its id; StoreError when it is damaged, or not there, with the known ones."""
    folder = store.release(release_id)
    if not folder.is_dir():
        known = ", ".join(release.release_id for release in releases(store)) or "none"
        raise StoreError(f"unknown release {release_id!r}; known: {known}")
    release = _described(folder, _believed(store))
    if release.problem:
        raise StoreError(f"release {release_id} is damaged: {release.problem}")
    return release


def releases(store: Store) -> list[Release]:
    """Return every release, the latest published first; damaged ones last, with their problem.

    None is active where the pointer is damaged.
    """
    pointer = _believed(store)
    folders = [
        folder for folder in store.releases.glob("*") if folder.is_dir() and is_release_id(folder.name)
    ]
    found = [_described(folder, pointer) for folder in folders]
    return sorted(found, key=lambda release: (release.sequence, release.release_id), reverse=True)


def previous(store: Store) -> str | None:
    """Return the id of the release a rollback leads to: the one active before, of those still there."""
    pointer = read_pointer(store)
    history = [former for former in pointer.history if store.release(former).is_dir()] if pointer else []
    return history[-1] if history else None


def verify(release: Release) -> list[str]:
    """Return what is wrong with a release's files against its manifest's sizes and hashes; empty if whole."""
    return file_problems(release.folder, release.manifest())


def _believed(store: Store) -> Pointer | None:
    try:
        return read_pointer(store)
    except PointerDamagedError:
        return None


def _described(folder: Path, pointer: Pointer | None) -> Release:
    as_of, _ = split_release_id(folder.name)
    active = pointer is not None and pointer.release_id == folder.name
    try:
        manifest = read_json(folder / MANIFEST)
        described = manifest["files"]
        return Release(
            release_id=folder.name,
            as_of=as_of,
            folder=folder,
            active=active,
            created_at=manifest["created_at"],
            expires_at=manifest["expires_at"],
            bytes=sum(file["bytes"] for file in described.values()),
            rows=described["recommendations.parquet"]["rows"],
            sequence=manifest["sequence"],
        )
    except (StoreError, KeyError, TypeError, AttributeError) as error:
        return Release(folder.name, as_of, folder, active, problem=f"{MANIFEST}: {error!r}")
