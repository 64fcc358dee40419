"""BLAS on one thread, where this package's own threads share the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the BLAS of numpy and scipy, which is also that of numba, to one thread.

    Looking for the loaded libraries takes longer than a small training, so it is done once.
    """
    with _numpy_and_scipy().limit(limits=1):
        yield


@cache
def _numpy_and_scipy() -> ThreadpoolController:
    import scipy.linalg.cython_blas  # noqa: F401 - numba's BLAS: only loaded libraries are found

    return ThreadpoolController().select(user_api="blas")
