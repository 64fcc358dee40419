"""Moving the pointer that readers follow: to a release by its id, or back to the one before."""

from __future__ import annotations

from tasks.errors import StoreError
from tasks.published import PointerDamagedError, Release, read_pointer
from tasks.store import Store


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
    from tasks import release as station

    pointed(store, to)  # before the lock, which would leave a file where there is no store
    with store.lock(purpose):
        before = pointed(store, to)
        return before, station.rollback(store, to)


def pointed(store: Store, to: str | None) -> str | None:
    """Return the id that readers are pointed to, even if that release is damaged: this is the way out."""
    try:
        pointer = read_pointer(store)
    except PointerDamagedError:
        if to is None:
            raise
        return None
    if pointer is None:
        raise StoreError(f"nothing is published in {store.root} yet, so there is nothing to roll back")
    return pointer.release_id
