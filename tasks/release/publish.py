"""Making a release: staged, audited, published by a rename and then a pointer, taken back by that pointer."""

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
from tasks.store.files import read_json, sync, write_json_atomically, writing
from tasks.store.layout import Store
from tasks.store.names import release_id_of
from tasks.store.run_folder import RunFolder


@dataclass(frozen=True)
class Staging:
    """A release that is not published yet: its files lie in the run's staging folder."""

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
    expires_after: dt.timedelta = dt.timedelta(hours=48),
    memory_limit: str = "1GB",
    threads: int = 2,
) -> Staging:
    """Complete the release in the run's staging folder, from the five Parquet files there.

    Adds the DuckDB file and the manifest. `items` is dataset/items.parquet; `facts`: see tasks.manifest.
    Staging again replaces what the first time left.
    """
    release_id, folder = release_id_of(as_of, run_id), RunFolder(store, as_of, run_id).staging
    created_at = dt.datetime.now(dt.UTC).replace(microsecond=0)
    times = {"created_at": created_at, "expires_at": created_at + expires_after}
    info = {"release_id": release_id, "as_of": str(as_of), "run_id": run_id}
    info |= {name: time.isoformat() for name, time in times.items()}
    info["code_version"] = str(facts.get("code_version", ""))
    with writing(folder):
        _sweep(folder)
        content = build_database(folder, items, ids, info, memory_limit=memory_limit, threads=threads)
        write_json_atomically(folder / MANIFEST, build_manifest(folder, release_id, facts, content, **times))
    return Staging(release_id, folder)


def publish(store: Store, staging: Staging, audited: Audit, *, activate: bool | None = None) -> Release:
    """Rename the audited staging folder into releases/ and then, last, point readers to it.

    The pointer does not move back to an older as_of unless `activate` is True; False never moves it. Called
    again after a crash, it finishes what is left. The caller holds the store's lock. UserError when the audit
    failed; StoreError when the audit was another folder's, when a file changed since staging, or when other
    rows are published under this id.
    """
    audited.require_passed()
    if audited.folder != staging.folder:
        raise StoreError(f"expected the audit of {staging.folder}, got that of {audited.folder}")
    if not staging.folder.exists():
        open_release(store, staging.release_id)  # renamed before a crash, or it was never staged
    elif store.release(staging.release_id).exists():
        _require_same(staging, store.release(staging.release_id))
        discard(staging.folder)
    else:
        _rename(store, staging, audited)
    return _activate(store, open_release(store, staging.release_id), activate)


def finish(store: Store, release_id: str) -> Release:
    """Point readers to a release that a crash left renamed into releases/, unless they read a later date.

    It was audited before the rename. The caller holds the store's lock. StoreError when a file of it is
    missing or changed.
    """
    release = open_release(store, release_id)
    problems = verify(release)
    if problems:
        raise StoreError(
            f"release {release_id} is damaged, readers stay where they are: {'; '.join(problems)}"
        )
    return _activate(store, release, None)


def rollback(store: Store, to: str | None = None) -> Release:
    """Point readers back to the release that was active before, or to the id given, if its files are whole.

    StoreError when there is none, or a file of it is missing or changed. The caller holds the store's lock.
    """
    pointer = left_pointer(store, to)
    to = to or previous(store)
    if to is None:
        raise StoreError(f"no release was active before {current(store).release_id}; nothing to roll back to")
    target = open_release(store, to)
    if target.active:
        raise StoreError(f"release {to} is already the active one")
    problems = verify(target)
    if problems:
        raise StoreError(f"release {to} is damaged, readers stay where they are: {'; '.join(problems)}")
    history = (*pointer.history, pointer.release_id) if pointer else ()
    if pointer and to in pointer.history:
        # the way back forgets what it undoes; a second rollback goes further back
        history = pointer.history[: pointer.history.index(to)]
    write_pointer(store, to, history, pointer)
    return open_release(store, to)


def left_pointer(store: Store, to: str | None) -> Pointer | None:
    """Return the pointer that is moved; None where it is damaged and the release to lead to is named."""
    try:
        pointer = read_pointer(store)
    except PointerDamagedError:
        if to is None:
            raise
        return None
    if pointer is None:
        raise StoreError(f"nothing is published in {store.root} yet, so there is nothing to roll back")
    return pointer


def _activate(store: Store, release: Release, activate: bool | None) -> Release:
    pointer = read_pointer(store)
    if pointer is None:
        history: tuple[str, ...] = ()
        moves = activate is not False
    else:
        history = (*pointer.history, pointer.release_id)
        moves = release.as_of >= pointer.as_of if activate is None else activate
    if moves and not release.active:
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
            if (
                path.name != DATABASE
            ):  # `duckdb nightshelf.duckdb` opens it for writing, though it writes nothing
                path.chmod(0o444)
        sync(staging.folder)
        target = store.release(staging.release_id)
        staging.folder.rename(target)
        sync(target.parent)
        sync(staging.folder.parent)


def _sweep(folder: Path) -> None:
    """Remove what a crash left half-written; such names start with a dot."""
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _require_same(staging: Staging, target: Path) -> None:
    ours, theirs = read_json(staging.folder / MANIFEST), read_json(target / MANIFEST)
    changed = file_problems(target, theirs) or [
        name
        for name in ours["files"]
        if name != DATABASE and ours["files"][name]["sha256"] != theirs["files"][name]["sha256"]
    ]
    if changed:
        raise StoreError(
            f"expected an id not yet published, got {staging.release_id}: releases are immutable, and these "
            f"files differ: {', '.join(changed)}; start a new run"
        )
