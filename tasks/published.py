"""The reader's side of the store: the pointer, and releases whose addresses are resolved once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.errors import StoreError
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


@dataclass(frozen=True)
class Pointer:
    """What current.json says: the active release, and those active before it, the latest last."""

    release_id: str
    history: tuple[str, ...] = ()

    @property
    def as_of(self) -> dt.date:
        """The date of the active release."""
        return split_release_id(self.release_id)[0]


def read_pointer(store: Store) -> Pointer | None:
    """Return the pointer, or None before the first release; StoreError when current.json is damaged."""
    if not store.pointer.exists():
        return None
    content = read_json(store.pointer)
    release_id, history = content.get("release_id"), content.get("history", [])
    if not isinstance(history, list) or not all(is_release_id(name) for name in (release_id, *history)):
        raise StoreError(
            f"expected release ids in {store.pointer}, got {release_id!r} and history {history!r}"
        )
    return Pointer(str(release_id), tuple(history))


def write_pointer(store: Store, release_id: str, history: tuple[str, ...]) -> None:
    """Point readers to a release, atomically; the release has to be there, whole."""
    as_of, _ = split_release_id(release_id)
    content = {
        "release_id": release_id,
        "as_of": as_of,
        "published_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "history": [former for former in history if former != release_id][-_HISTORY:],
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
    release = _described(folder, read_pointer(store))
    if release.problem:
        raise StoreError(f"release {release_id} is damaged: {release.problem}")
    return release


def releases(store: Store) -> list[Release]:
    """Return every release, the latest published first; damaged ones last, with their problem."""
    pointer = read_pointer(store)
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
