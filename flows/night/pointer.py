"""Moving the pointer that readers follow: to a release by its id, or back to the one before."""

from __future__ import annotations

from tasks.monitoring.metrics_file import write_metrics
from tasks.release.releases import Release
from tasks.store.layout import Store


def point_readers(store: Store, to: str | None, purpose: str) -> tuple[str | None, Release]:
    """Point readers to a release, or to the one active before; return the id they leave, and the release.

    The files of the release are checked first, and nothing is deleted. The id they leave is None where the
    pointer was damaged: to name the release is the way out.

    Raises
    ------
    StoreError
        If nothing is published, another process writes, the release is missing, damaged or active already, or
        the pointer is damaged and no release is named.
    """
    from tasks.release import publish as station

    station.left_pointer(store, to)  # before the lock, which would leave a file where there is no store
    with store.lock(purpose):
        left = station.left_pointer(store, to)
        target = station.rollback(store, to)
        write_metrics(store)
        return left.release_id if left else None, target
