"""Staging, publication and rollback of a release: a rename, then a move of the pointer."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.release.audit import Audit
from tasks.release.database import DATABASE, build_database
from tasks.release.manifest import MANIFEST, build_manifest, file_problems
from tasks.release.pointer import Pointer, PointerDamagedError, read_pointer, write_pointer
from tasks.release.releases import Release, current, open_release, previous, releases, verify
from tasks.release.retention import discard
from tasks.release.tables import IdTypes
from tasks.runtime.errors import StoreError
from tasks.runtime.resources import Resources
from tasks.store.files import read_json, sync, write_json_atomically, writing
from tasks.store.layout import Store
from tasks.store.names import release_id_of
from tasks.store.run_folder import RunFolder


@dataclass(frozen=True)
class Staging:
    """A release before publication: its files are in the run's staging folder."""

    release_id: str
    folder: Path


def stage(
    store: Store,
    as_of: dt.date | str,
    run_id: str,
    *,
    items: Path,
    ids: IdTypes,
    facts: Mapping[str, Any],
    resources: Resources,
    expires_after: dt.timedelta = dt.timedelta(hours=48),
) -> Staging:
    """Complete the release in the run's staging folder, from the Parquet files there.

    It adds the DuckDB file and the manifest. `items` is dataset/items.parquet; for `facts`, see
    `tasks.release.manifest`. Staging again replaces both.
    """
    release_id, folder = release_id_of(as_of, run_id), RunFolder(store, as_of, run_id).staging
    created_at = dt.datetime.now(dt.UTC).replace(microsecond=0)
    times = {"created_at": created_at, "expires_at": created_at + expires_after}
    info = {"release_id": release_id, "as_of": str(as_of), "run_id": run_id}
    info |= {name: time.isoformat() for name, time in times.items()}
    info["code_version"] = str(facts.get("code_version", ""))
    with writing(folder):
        _sweep(folder)
        content = build_database(folder, items, ids, info, resources)
        write_json_atomically(folder / MANIFEST, build_manifest(folder, release_id, facts, content, **times))
    return Staging(release_id, folder)


def publish(store: Store, staging: Staging, audited: Audit) -> Release:
    """Rename the audited staging folder into releases/, then point readers to it.

    The pointer does not move back to an older as_of. A second call after a crash completes the
    publication. The caller holds the store's lock. UserError if the audit failed. StoreError if the
    audit is of another folder, if a file changed since staging, or if other rows are published
    under this id.
    """
    audited.require_passed()
    if audited.folder != staging.folder:
        raise StoreError(f"expected the audit of {staging.folder}, got that of {audited.folder}")
    if not staging.folder.exists():
        open_release(store, staging.release_id)  # renamed before a crash, or never staged
    elif store.release(staging.release_id).exists():
        _require_same(staging, store.release(staging.release_id))
        discard(staging.folder)
    else:
        _rename(store, staging, audited)
    return _activate(store, open_release(store, staging.release_id))


def finish(store: Store, release_id: str) -> Release:
    """Activate a release that a crash left in releases/, unless readers have a later date.

    It was audited before it was renamed. The caller holds the store's lock. StoreError if a file is
    missing or changed.
    """
    release = open_release(store, release_id)
    problems = verify(release)
    if problems:
        raise StoreError(
            f"release {release_id} is damaged, the pointer stays where it is: {'; '.join(problems)}"
        )
    return _activate(store, release)


def rollback(store: Store, to: str | None = None) -> Release:
    """Point readers back to the release that was active before, or to the release `to`.

    StoreError if there is no such release, or if a file of it is missing or changed. The caller
    holds the store's lock.
    """
    pointer = pointer_to_roll_back(store, to)
    to = to or previous(store)
    if to is None:
        raise StoreError(f"no release was active before {current(store).release_id}; nothing to roll back to")
    target = open_release(store, to)
    if target.active:
        raise StoreError(f"release {to} is already the active one")
    problems = verify(target)
    if problems:
        raise StoreError(f"release {to} is damaged, the pointer stays where it is: {'; '.join(problems)}")
    history = (*pointer.history, pointer.release_id) if pointer else ()
    if pointer and to in pointer.history:
        # drop what is undone, so that a second rollback goes further back
        history = pointer.history[: pointer.history.index(to)]
    write_pointer(store, to, history, pointer)
    return open_release(store, to)


def pointer_to_roll_back(store: Store, to: str | None) -> Pointer | None:
    """Return the pointer to move; None if it is damaged and the release `to` is given."""
    try:
        pointer = read_pointer(store)
    except PointerDamagedError:
        if to is None:
            raise
        return None
    if pointer is None:
        raise StoreError(f"nothing is published in {store.root} yet, so there is nothing to roll back")
    return pointer


def _activate(store: Store, release: Release) -> Release:
    pointer = read_pointer(store)
    history = (*pointer.history, pointer.release_id) if pointer else ()
    if not release.active and (pointer is None or release.as_of >= pointer.as_of):
        write_pointer(store, release.release_id, history, pointer)
    return open_release(store, release.release_id)


def _rename(store: Store, staging: Staging, audited: Audit) -> None:
    _sweep(staging.folder)
    manifest = read_json(staging.folder / MANIFEST)
    problems = file_problems(staging.folder, manifest)
    if problems:
        raise StoreError(f"{staging.folder} changed since it was staged: {'; '.join(problems)}")
    manifest["sequence"] = max((release.sequence for release in releases(store)), default=0) + 1
    manifest["published_at"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    manifest["audit"] = {"checks": audited.checks, "failures": 0}
    with writing(staging.folder):
        write_json_atomically(staging.folder / MANIFEST, manifest)
        for path in staging.folder.iterdir():
            sync(path)
            if path.name != DATABASE:  # `duckdb FILE` needs write access even to read
                path.chmod(0o444)
        sync(staging.folder)
        target = store.release(staging.release_id)
        staging.folder.rename(target)
        sync(target.parent)
        sync(staging.folder.parent)


def _sweep(folder: Path) -> None:
    """Remove files that a crash left half-written; their names start with a dot."""
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _require_same(staging: Staging, target: Path) -> None:
    staged, published = read_json(staging.folder / MANIFEST), read_json(target / MANIFEST)
    changed = file_problems(target, published) or [
        name
        for name in staged["files"]
        if name != DATABASE and staged["files"][name]["sha256"] != published["files"][name]["sha256"]
    ]
    if changed:
        raise StoreError(
            f"expected an id not yet published, got {staging.release_id}: releases are immutable, and these "
            f"files differ: {', '.join(changed)}; start a new run"
        )
