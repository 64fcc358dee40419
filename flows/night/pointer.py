"""Move the pointer that readers follow: to a release by its id, or back to the one before."""

from __future__ import annotations

from tasks.monitoring.metrics_file import write_metrics
from tasks.release.releases import Release
from tasks.store.layout import Store


def point_readers(store: Store, to: str | None, purpose: str) -> tuple[str | None, Release]:
    """Point readers to a release, by default the previously active one; return old id and release.

    The files of the release are checked first, and nothing is deleted. The old id is None if the
    pointer was damaged; naming a release repairs it.

    Raises
    ------
    StoreError
        If nothing is published, another process is writing, the release is missing, damaged or
        already active, or the pointer is damaged and no release is named.
    """
    from tasks.release import publish as release

    # Checked before the lock, which would leave a file in a folder that is no store:
    release.pointer_to_roll_back(store, to)
    with store.lock(purpose):
        before = release.pointer_to_roll_back(store, to)
        target = release.rollback(store, to)
        write_metrics(store)
        return before.release_id if before else None, target
