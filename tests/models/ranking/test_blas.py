"""BLAS on one thread: within the context, and as before after it."""

from __future__ import annotations

from threadpoolctl import ThreadpoolController, threadpool_limits

from models.ranking.blas import one_blas_thread


def blas_threads() -> list[int]:
    return [pool.num_threads for pool in ThreadpoolController().select(user_api="blas").lib_controllers]


def test_blas_has_one_thread_within_and_its_own_number_after() -> None:
    with one_blas_thread():
        pass  # loads the libraries
    with threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        for _ in range(2):
            with one_blas_thread():
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {2}
