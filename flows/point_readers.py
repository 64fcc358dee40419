"""Moving the pointer that readers follow: to a release by its id, or back to the one before."""

from __future__ import annotations

from tasks.errors import StoreError
from tasks.published import Release, read_pointer
from tasks.store import Store


def point_readers(store: Store, to: str | None, purpose: str) -> tuple[str, Release]:
    """Point readers to a release, or to the one active before; return the id they leave, and the release.

    The files of the release are checked first, and nothing is deleted.

    Raises
    ------
    StoreError
        If nothing is published, another process writes, or the release is missing, damaged or active already.
    """
    from tasks import release as station

    pointed(store)  # before the lock, which would leave a file where there is no store
    with store.lock(purpose):
        before = pointed(store)
        return before, station.rollback(store, to)


def pointed(store: Store) -> str:
    """Return the id that readers are pointed to, even if that release is damaged: this is the way out."""
    pointer = read_pointer(store)
    if pointer is None:
        raise StoreError(f"nothing is published in {store.root} yet, so there is nothing to roll back")
    return pointer.release_id
