"""Removal of old releases, leftovers of dead runs and interrupted deletions."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tasks.release.pointer import read_pointer
from tasks.release.releases import previous, releases
from tasks.runtime.errors import StoreError
from tasks.store.files import sync, writing
from tasks.store.layout import Store
from tasks.store.names import is_release_id
from tasks.store.run_folder import STAGING, run_paths

_TRASH: Final = ".trash-"


def retain(store: Store, keep: int, grace: timedelta = timedelta(0)) -> list[str]:
    """Remove all but the `keep` last published releases, with reports and Data Docs; return their ids.

    The active release and the target of a rollback are always kept. So are releases that were
    active less than `grace` ago, because readers may still use them. The caller holds the store's
    lock.
    """
    if keep < 1:
        raise StoreError(f"expected to keep at least 1 release, got {keep}")
    last = releases(store)
    safe = (
        {release.release_id for release in last[:keep]} | {previous(store)} | _recently_active(store, grace)
    )
    removed = [release for release in last if not release.active and release.release_id not in safe]
    for release in removed:
        discard(release.folder)
    with writing(store.root):
        for report in store.reports.glob("*.html"):
            if is_release_id(report.stem) and not store.release(report.stem).exists():
                report.unlink()
    for docs in store.reports.glob("*"):
        if docs.is_dir() and is_release_id(docs.name) and not store.release(docs.name).exists():
            discard(docs)
    return [release.release_id for release in removed]


def _recently_active(store: Store, grace: timedelta) -> set[str]:
    """Return the releases that the pointer left less than `grace` ago."""
    pointer, since = read_pointer(store), datetime.now(UTC) - grace
    left_at = pointer.left_at if pointer and grace else {}
    return {release_id for release_id, at in left_at.items() if datetime.fromisoformat(at) >= since}


def clean(
    store: Store, keep_runs: Collection[str] = (), older_than: timedelta = timedelta(days=2)
) -> list[Path]:
    """Remove interrupted deletions, temporary files and staging folders older than `older_than`.

    The staging folders of the runs `keep_runs` always stay. Returns the removed paths. The caller
    holds the store's lock, so that no other process writes.
    """
    runs = run_paths(store)
    trash = [path for folder in (store.releases, store.reports, *runs) for path in folder.glob(f"{_TRASH}*")]
    before = time.time() - older_than.total_seconds()
    staging = [run / STAGING for run in runs if run.name not in keep_runs]
    stale = [
        folder
        for folder in staging
        if folder.is_dir() and not folder.is_symlink() and _touched(folder) < before
    ]
    temporary = [*store.root.glob(".*.tmp"), *store.root.glob(".locks/.*.tmp"), *store.reports.glob(".*.tmp")]
    with writing(store.root):
        for path in temporary:
            path.unlink()
        for folder in trash:
            shutil.rmtree(folder)
    for folder in stale:
        discard(folder)
    return sorted([*temporary, *trash, *stale])


def discard(folder: Path) -> None:
    """Delete a folder, renamed first so that no reader and no crash finds half of it."""
    trash = folder.with_name(f"{_TRASH}{folder.name}-{secrets.token_hex(4)}")
    with writing(folder):
        folder.rename(trash)
        sync(folder.parent)
        shutil.rmtree(trash)


def _touched(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
