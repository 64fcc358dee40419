"""Half a round of alternating least squares: all rows, given the vectors of the other side."""

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
ROWS = 32  # rows per task: few, so threads end together, but enough to share scratch memory
GRAM_ROWS = 4096  # rows whose products are summed in float32 before adding in float64


@dataclass(frozen=True, eq=False)
class Rows:
    """One least squares problem per row: its observed entries and its penalty.

    ``indptr`` int64 (n_rows + 1,), ``indices`` int32 and ``extra`` float32 (entries,) as in csr.
    ``extra`` is the confidence beyond ``unobserved``, which every pair has; ``penalties`` float64
    (n_rows,).
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
    """``fixed`` (n_columns, d) and ``solved`` (n_rows, d) float32 in one basis; the sum of b'x."""

    fixed: Floats
    solved: Floats
    explained: float


Solve = Callable[[Rows, Floats], Solution]


def row_problems(
    matrix: sparse.csr_array,
    *,
    alpha: float,
    unobserved: float,
    penalty: Callable[[Doubles], Doubles],
    known: npt.NDArray[np.bool_],
) -> Rows:
    """Return the problems of all rows; ``penalty`` maps their total confidences to penalties.

    The total confidence of a row is alpha * (sum of its weights) + unobserved * (number of
    ``known`` columns, bool (n_columns,)). Unknown columns do not count.
    """
    with np.errstate(over="ignore"):  # the solver reports it
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
    """Limit BLAS to one thread, and turn a failed decomposition into a ModelError.

    Rows are split over this module's own threads. BLAS threads would change the order of sums, and
    so the last bits.
    """
    import scipy.linalg.cython_blas  # noqa: F401 - numba's BLAS: only loaded ones are resource_limits

    try:
        with threadpool_limits(limits=1, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
            yield
    except np.linalg.LinAlgError as error:
        raise ModelError(
            f"expected weights and penalties for which float32 can solve least squares, got others: {error}"
        ) from error


def gram(vectors: Floats) -> Doubles:
    """Return vectors.T @ vectors float64 (d, d), summed in a fixed order."""
    total = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), GRAM_ROWS):
        part = vectors[start : start + GRAM_ROWS]
        total += part.T @ part
    return total


def rotate(vectors: Floats) -> tuple[Floats, Doubles]:
    """Rotate vectors so their columns are orthogonal; return them and the squared lengths."""
    squares, basis = np.linalg.eigh(gram(vectors))
    rotated = np.ascontiguousarray(vectors @ basis.astype(np.float32))
    return rotated, np.maximum(squares, 0.0)


def solve_rotated(rows: Rows, fixed: Floats, squares: Doubles, threads: int) -> Solution:
    """Solve every row against vectors from ``rotate``; the same bytes for any number of threads."""
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


def cpu_solver(threads: int) -> Solve:
    """Return the solver on the CPU; use it within ``solving``."""

    def solve(rows: Rows, fixed: Floats) -> Solution:
        return solve_rotated(rows, *rotate(fixed), threads)

    return solve
