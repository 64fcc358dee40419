"""Published releases as readers see them; the paths of a release are resolved once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tasks.release.database import DATABASE
from tasks.release.manifest import MANIFEST, file_problems
from tasks.release.pointer import Pointer, read_pointer, readable_pointer
from tasks.release.tables import table
from tasks.runtime.errors import StoreError
from tasks.store.files import read_json
from tasks.store.layout import Store
from tasks.store.names import is_release_id, split_release_id


@dataclass(frozen=True)
class Release:
    """A published release; its paths stay the same when the pointer moves.

    `rows` is the number of recommendations, `sequence` the number of the publication. If the
    manifest cannot be read, `problem` says why and the numbers are 0.
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
        """Return the Parquet file of a table; UserError for an unknown name."""
        return self.folder / f"{table(name).name}.parquet"

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; StoreError if it is unreadable."""
        return read_json(self.folder / MANIFEST)


def current(store: Store) -> Release:
    """Return the active release; StoreError if nothing is published or the release is missing."""
    pointer = read_pointer(store)
    if pointer is None:
        raise StoreError(f"nothing is published in {store.root} yet; run a night first")
    return open_release(store, pointer.release_id)


def open_release(store: Store, release_id: str) -> Release:
    """Return a release by its id; StoreError if it is damaged or unknown."""
    folder = store.release(release_id)
    if not folder.is_dir():
        known = ", ".join(release.release_id for release in releases(store)) or "none"
        raise StoreError(f"unknown release {release_id!r}; known: {known}")
    release = _described(folder, readable_pointer(store))
    if release.problem:
        raise StoreError(f"release {release_id} is damaged: {release.problem}")
    return release


def releases(store: Store) -> list[Release]:
    """Return all releases, the last published first, and damaged ones last with their problem.

    If the pointer is damaged, no release is active.
    """
    pointer = readable_pointer(store)
    folders = [
        folder for folder in store.releases.glob("*") if folder.is_dir() and is_release_id(folder.name)
    ]
    described = [_described(folder, pointer) for folder in folders]
    return sorted(described, key=lambda release: (release.sequence, release.release_id), reverse=True)


def release_of(store: Store, as_of: date) -> Release | None:
    """Return the whole release of a date that was published last, None if there is none."""
    return next(
        (release for release in releases(store) if release.as_of == as_of and not release.problem), None
    )


def previous(store: Store) -> str | None:
    """Return the id of the last active release that still exists: the target of a rollback."""
    pointer = read_pointer(store)
    history = [former for former in pointer.history if store.release(former).is_dir()] if pointer else []
    return history[-1] if history else None


def verify(release: Release) -> list[str]:
    """Return the problems of a release's files compared with its manifest; empty if whole."""
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


def release_before(store: Store, as_of: date) -> Release | None:
    """Return the release that a date's night is compared with, None if there is none.

    It is the one that readers had; if they had none, the release of the latest earlier date.
    """
    earlier = _earlier(store, as_of)
    latest = max(earlier.values(), key=lambda release: (release.as_of, release.sequence), default=None)
    return release_that_readers_had(store, as_of) or latest


def release_that_readers_had(store: Store, as_of: date) -> Release | None:
    """Return the last active release of an earlier date, None if none was active or it is gone.

    A repeated night thus gets the same release as before, and a release that was rolled back is
    passed over.
    """
    pointer, earlier = read_pointer(store), _earlier(store, as_of)
    active = [*pointer.history, pointer.release_id] if pointer else []
    return next((earlier[name] for name in reversed(active) if name in earlier), None)


def _earlier(store: Store, as_of: date) -> dict[str, Release]:
    """Return the undamaged releases of earlier dates by id."""
    return {
        release.release_id: release
        for release in releases(store)
        if not release.problem and release.as_of < as_of
    }
