"""The inverse of a symmetric matrix on several threads, with the same bytes on any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import ModelError
from models.ranking.blas import one_blas_thread

Floats = npt.NDArray[np.float32]
BLOCK = 256  # rows and columns of a block: a product of two keeps a core busy, and fits its cache


def invert_lower(matrix: Floats, threads: int) -> None:
    """Replace the lower half of a positive definite matrix by the inverse of its Cholesky factor.

    ``matrix`` float32 (n, n) = L L'; afterwards its lower half, with the diagonal, is L^-1. What is
    above the diagonal is neither read nor kept. The work, 2/3 n^3 operations, is done in blocks in
    place. Each block is computed by one thread in one order.

    Raises
    ------
    ModelError
        When the matrix is not positive definite in float32.
    """
    with _blocks(len(matrix), threads) as blocks:
        _factorise(matrix, blocks)
        _invert_factor(matrix, blocks)


def multiply_by_transpose(matrix: Floats, threads: int) -> None:
    """Replace a matrix whose lower half is W by W'W, float32 (n, n), whole and symmetric.

    With W = L^-1 of ``invert_lower``, that is the inverse of L L'. It takes 1/3 n^3 operations.
    """
    with _blocks(len(matrix), threads) as blocks:
        for row in blocks.parts:  # the rows below are still those of W
            lower = matrix[row.start :, row].copy()
            lower[: row.stop - row.start] = np.tril(lower[: row.stop - row.start])

            def multiply(column: slice, row: slice = row, lower: Floats = lower) -> None:
                right = matrix[row.start :, column]
                if column == row:
                    right = lower
                matrix[row, column] = lower.T @ right

            blocks.run(multiply, [part for part in blocks.parts if part.start <= row.start])
        for row in blocks.parts:
            matrix[row, row] = np.tril(matrix[row, row]) + np.tril(matrix[row, row], -1).T
            matrix[row, row.stop :] = matrix[row.stop :, row].T


@dataclass(frozen=True)
class _Blocks:
    """The parts of the rows or columns, and threads that work on them."""

    parts: tuple[slice, ...]
    pool: ThreadPoolExecutor

    def run(self, work: Callable[[slice], None], parts: Iterable[slice]) -> None:
        """Call ``work`` for each part; return when all are done."""
        list(self.pool.map(work, parts))

    def after(self, part: slice) -> list[slice]:
        """Return the parts behind a part."""
        return [other for other in self.parts if other.start > part.start]


@contextmanager
def _blocks(n: int, threads: int) -> Iterator[_Blocks]:
    parts = tuple(slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))
    with one_blas_thread(), ThreadPoolExecutor(max(1, threads)) as pool:
        yield _Blocks(parts, pool)


def _factorise(matrix: Floats, blocks: _Blocks) -> None:
    """Replace the lower half by the Cholesky factor: block columns from the left."""
    from scipy.linalg import LinAlgError, cholesky, solve_triangular

    for part in blocks.parts:
        try:
            factor = cholesky(matrix[part, part], lower=True, check_finite=False)
        except LinAlgError:
            raise ModelError(
                "expected a positive definite matrix, got one that is not in float32: a larger penalty helps"
            ) from None
        matrix[part, part] = factor

        def solve(row: slice, part: slice = part, factor: Floats = factor) -> None:
            panel = matrix[row, part]
            panel[:] = solve_triangular(factor, panel.T, lower=True, check_finite=False).T

        def update(row: slice, part: slice = part) -> None:
            for column in blocks.parts:
                if part.start < column.start <= row.start:
                    matrix[row, column] -= matrix[row, part] @ matrix[column, part].T

        blocks.run(solve, blocks.after(part))
        blocks.run(update, reversed(blocks.after(part)))  # long rows first, so that threads end together


def _invert_factor(matrix: Floats, blocks: _Blocks) -> None:
    """Replace a lower triangular matrix by its inverse: block columns from the right."""
    from scipy.linalg import solve_triangular

    for part in reversed(blocks.parts):
        size = part.stop - part.start
        inverse = solve_triangular(
            matrix[part, part], np.eye(size, dtype=np.float32), lower=True, check_finite=False
        )
        panel = matrix[part.stop :, part] @ inverse

        def multiply(row: slice, part: slice = part, panel: Floats = panel) -> None:
            left = matrix[row, part.stop : row.stop].copy()
            left[:, -(row.stop - row.start) :] = np.tril(left[:, -(row.stop - row.start) :])
            matrix[row, part] = -(left @ panel[: row.stop - part.stop])

        blocks.run(multiply, reversed(blocks.after(part)))
        matrix[part, part] = inverse
