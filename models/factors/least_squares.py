"""One half of an epoch of alternating least squares: all rows given the other side's vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.errors import ModelError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
ROWS = 32  # rows a thread takes at a time: few enough to end together, many enough to share their scratch
GRAM_ROWS = 4096  # rows whose products are summed in float32, before float64


@dataclass(frozen=True, eq=False)
class Rows:
    """One least squares problem a row: the observed entries, and what each row is penalised with.

    ``indptr`` int64 (n_rows + 1,), ``indices`` int32 and ``extra`` float32 (entries,) as in csr: confidences
    beyond ``unobserved``, the one of every pair; ``penalties`` float64 (n_rows,).
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    extra: Floats
    unobserved: float
    penalties: Doubles

    def __len__(self) -> int:
        return len(self.penalties)


@dataclass(frozen=True, eq=False)
class Solution:
    """``fixed`` (n_columns, d) and ``solved`` (n_rows, d) float32 in one basis, and the sum of b'x."""

    fixed: Floats
    solved: Floats
    explained: float


Solve = Callable[[Rows, Floats], Solution]


def rows_of(
    matrix: sparse.csr_array,
    *,
    alpha: float,
    unobserved: float,
    penalty: Callable[[Doubles], Doubles],
    known: npt.NDArray[np.bool_],
) -> Rows:
    """Return the problems of the rows of ``matrix``; ``penalty`` of a row is of its total confidence.

    That is alpha * (sum of its weights) + unobserved * (number of ``known`` columns, bool (n_columns,)):
    the confidences of all pairs of the row. Columns that are not known count for nothing.
    """
    with np.errstate(over="ignore"):  # the solver will say so
        extra = np.float32(alpha) * matrix.data
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    counted = np.where(known[matrix.indices], extra, np.float32(0))
    total: Doubles = np.bincount(row, counted, minlength=matrix.shape[0]).astype(np.float64)
    return Rows(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        extra,
        unobserved,
        penalty(total + unobserved * int(known.sum())),
    )


@contextmanager
def solving() -> Iterator[None]:
    """Hold BLAS to one thread, and say which weights could not be solved with.

    The rows are shared among threads of ours; a sum in another order ends in another last bit.
    """
    import scipy.linalg.cython_blas  # noqa: F401 - numba's BLAS: only what is loaded is held

    try:
        with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
            yield
    except np.linalg.LinAlgError as error:
        raise ModelError(
            f"expected weights and penalties that float32 can solve least squares with, got others: {error}"
        ) from error


def gram(vectors: Floats) -> Doubles:
    """Return vectors.T @ vectors, float64 (d, d), in one order of summation."""
    total = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), GRAM_ROWS):
        part = vectors[start : start + GRAM_ROWS]
        total += part.T @ part
    return total


def rotated(vectors: Floats) -> tuple[Floats, Doubles]:
    """Return the vectors turned into the basis of orthogonal columns, and the columns' squared lengths."""
    squares, basis = np.linalg.eigh(gram(vectors))
    turned = np.ascontiguousarray(vectors @ basis.astype(np.float32))
    return turned, np.maximum(squares, 0.0)


def solve_turned(rows: Rows, fixed: Floats, squares: Doubles, threads: int) -> Solution:
    """Solve every row against vectors that ``rotated`` has turned: the same bytes on any threads."""
    from models.factors.als_kernel import solve_rows

    solved = np.empty((len(rows), fixed.shape[1]), dtype=np.float32)

    def run(start: int) -> float:
        stop = min(start + ROWS, len(rows))
        return solve_rows(
            start,
            stop,
            rows.indptr,
            rows.indices,
            rows.extra,
            rows.unobserved,
            fixed,
            squares,
            rows.penalties,
            solved,
        )

    starts = range(0, len(rows), ROWS)
    with ThreadPoolExecutor(max(1, min(threads, len(starts)))) as pool:
        explained = sum(pool.map(run, starts))
    return Solution(fixed, solved, explained)


def on_threads(threads: int) -> Solve:
    """Return the way to solve on the CPU, to be used within ``solving``."""

    def solve(rows: Rows, fixed: Floats) -> Solution:
        return solve_turned(rows, *rotated(fixed), threads)

    return solve
