"""What the store forgets: old releases, leftovers of dead runs, and deletions that did not finish."""

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

_TRASH: Final = ".trash-"


def retain(store: Store, keep: int, grace: timedelta = timedelta(0)) -> list[str]:
    """Remove the releases beyond the `keep` last published, with their reports, and return their ids.

    The active release and the one a rollback leads to are always kept, and those that readers were led away
    from less than `grace` ago: who followed the pointer before may still be reading them. The caller holds
    the store's lock.
    """
    if keep < 1:
        raise StoreError(f"expected to keep at least 1 release, got {keep}")
    last = releases(store)
    safe = {release.release_id for release in last[:keep]} | {previous(store)} | _just_left(store, grace)
    removed = [release for release in last if not release.active and release.release_id not in safe]
    for release in removed:
        discard(release.folder)
    with writing(store.root):
        for report in store.reports.glob("*.html"):
            if is_release_id(report.stem) and not store.release(report.stem).exists():
                report.unlink()
    return [release.release_id for release in removed]


def _just_left(store: Store, grace: timedelta) -> set[str]:
    """Return the releases that readers were led away from less than `grace` ago."""
    pointer, since = read_pointer(store), datetime.now(UTC) - grace
    left = pointer.left if pointer and grace else {}
    return {release_id for release_id, at in left.items() if datetime.fromisoformat(at) >= since}


def clean(
    store: Store, keep_runs: Collection[str] = (), older_than: timedelta = timedelta(days=2)
) -> list[Path]:
    """Remove unfinished deletions, temporary files, and staging folders untouched for `older_than`.

    `keep_runs` are ids of runs whose staging always stays. Returns what was removed. The caller holds
    the store's lock, so that no other run is at work.
    """
    trash = [*store.releases.glob(f"{_TRASH}*"), *store.runs.glob(f"*/*/{_TRASH}*")]
    before = time.time() - older_than.total_seconds()
    stale = [
        folder
        for folder in store.runs.glob("*/*/staging")
        if folder.parent.name not in keep_runs and not folder.is_symlink() and _touched(folder) < before
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
    """Delete a folder so that no reader or crash meets half of it: renamed out of the way first."""
    trash = folder.with_name(f"{_TRASH}{folder.name}-{secrets.token_hex(4)}")
    with writing(folder):
        folder.rename(trash)
        sync(folder.parent)
        shutil.rmtree(trash)


def _touched(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
