"""Half a round of alternating least squares: all rows, given the vectors of the other side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.ranking.blas import one_blas_thread

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
ROWS = 32  # rows solved together: enough to share scratch memory
BLOCK = 4096  # rows of a large product at a time; their squares are summed in float32
SHARES = 16  # tasks for each thread at least, so that threads end together
STEPS = 2  # of conjugate gradients in a round: more cost more than the rounds they save
T = TypeVar("T")


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
    """``fixed`` (n_columns, d) and ``solved`` (n_rows, d) float32 in one basis; the sum of b'x.

    Where the solution is not exact, ``explained`` has 2b'x - x'Ax instead of b'x, for Ax = b.
    """

    fixed: Floats
    solved: Floats
    explained: float


Solve = Callable[[Rows, Floats, Floats], Solution]
"""Solve rows given the ``fixed`` vectors, from ``start`` (n_rows, d) in the same basis."""


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
    try:
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            yield
    except np.linalg.LinAlgError as error:
        raise ModelError(
            f"expected weights and penalties for which float32 can solve least squares, got others: {error}"
        ) from error


def blocks(count: int, threads: int, run: Callable[[int, int], T], size: int) -> Iterator[T]:
    """Yield ``run(start, stop)`` for each block of ``size`` of ``count`` rows, in their order.

    A thread gets several small blocks at a time, since handing one over takes longer than a few
    short rows.
    """
    starts = range(0, count, size)
    if min(threads, len(starts)) <= 1:
        yield from (run(start, min(start + size, count)) for start in starts)
        return
    together = size * max(1, len(starts) // (SHARES * threads))

    def run_several(first: int) -> list[T]:
        last = min(first + together, count)
        return [run(start, min(start + size, last)) for start in range(first, last, size)]

    with ThreadPoolExecutor(min(threads, len(starts))) as pool:
        for results in pool.map(run_several, range(0, count, together)):
            yield from results


def gram(vectors: Floats, threads: int = 1) -> Doubles:
    """Return vectors.T @ vectors float64 (d, d), summed in a fixed order."""
    total = np.zeros((vectors.shape[1], vectors.shape[1]))

    def run(start: int, stop: int) -> Floats:
        part = vectors[start:stop]
        return part.T @ part

    for part in blocks(len(vectors), threads, run, BLOCK):
        total += part
    return total


def principal_axes(vectors: Floats, threads: int = 1) -> tuple[Floats, Doubles]:
    """Return the basis float32 (d, d) that makes the columns orthogonal, and their squared lengths."""
    squares, basis = np.linalg.eigh(gram(vectors, threads))
    return basis.astype(np.float32), np.maximum(squares, 0.0)


def rotate(vectors: Floats, basis: Floats, threads: int = 1) -> Floats:
    """Return vectors @ basis, contiguous; the same bytes for any number of threads."""
    rotated = np.empty_like(vectors)

    def run(start: int, stop: int) -> None:
        np.matmul(vectors[start:stop], basis, out=rotated[start:stop])

    for _ in blocks(len(vectors), threads, run, BLOCK):
        pass
    return rotated


def penalty_of(vectors: Floats, penalties: Doubles, threads: int) -> float:
    """Return the sum of penalties (n_rows,) times squared lengths, summed in a fixed order."""

    def run(start: int, stop: int) -> float:
        part = vectors[start:stop].astype(np.float64)
        return float(penalties[start:stop] @ np.einsum("ij,ij->i", part, part))

    return sum(blocks(len(vectors), threads, run, BLOCK))


def solve_rotated(  # noqa: PLR0917
    rows: Rows, fixed: Floats, squares: Doubles, threads: int, start: Floats | None = None, steps: int = 0
) -> Solution:
    """Solve every row against vectors in the basis of their principal axes.

    Exactly, or with ``steps`` from ``start``, which is overwritten (see als_kernel.solve_rows). The
    bytes are the same for any number of threads.
    """
    from models.factors.als_kernel import solve_rows

    solved = np.empty((len(rows), fixed.shape[1]), dtype=np.float32) if start is None else start

    def run(low: int, high: int) -> float:
        return solve_rows(
            low,
            high,
            rows.indptr,
            rows.indices,
            rows.extra,
            rows.unobserved,
            fixed,
            squares,
            rows.penalties,
            solved,
            steps,
        )

    explained = sum(blocks(len(rows), threads, run, ROWS))
    if not np.isfinite(explained):
        raise np.linalg.LinAlgError("the vectors are not finite")
    return Solution(fixed, solved, explained)


def cpu_solver(threads: int, steps: int = STEPS) -> Solve:
    """Return the solver on the CPU; use it within ``solving``. Without steps, it is exact."""

    def solve(rows: Rows, fixed: Floats, start: Floats) -> Solution:
        basis, squares = principal_axes(fixed, threads)
        rotated = rotate(fixed, basis, threads)
        return solve_rotated(rows, rotated, squares, threads, rotate(start, basis, threads), steps)

    return solve
