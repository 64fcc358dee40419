"""The reader's side of the store: the pointer, and releases whose addresses are resolved once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tasks.release.database import DATABASE
from tasks.release.manifest import MANIFEST, file_problems
from tasks.release.pointer import Pointer, PointerDamagedError, read_pointer
from tasks.release.tables import table
from tasks.runtime.errors import StoreError
from tasks.store.files import read_json
from tasks.store.layout import Store
from tasks.store.names import is_release_id, split_release_id


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


def release_before(store: Store, as_of: date) -> Release | None:
    """Return the release that a night of a date is compared with, None where there is none.

    The last that readers had of those of earlier dates; where readers never had one, that of the latest date.
    So a night that is run again meets the same release as the first time, and one that was rolled back from
    is passed over.
    """
    pointer = read_pointer(store)
    active = [*pointer.history, pointer.release_id] if pointer else []
    whole = {one.release_id: one for one in releases(store) if not one.problem and one.as_of < as_of}
    for release_id in reversed(active):
        if release_id in whole:
            return whole[release_id]
    return max(whole.values(), key=lambda one: (one.as_of, one.sequence), default=None)
