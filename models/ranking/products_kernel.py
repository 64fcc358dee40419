"""The compiled products of sparse rows (import it late: numba)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]


@compiled(
    "void(int64[::1], int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], int64, float32[:, ::1])"
)
def add_sparse(  # noqa: PLR0917
    ends: Longs,
    columns: Ints,
    weights: Floats,
    other_ends: Longs,
    other_columns: Ints,
    other_weights: Floats,
    first: int,
    products: Floats,
) -> None:
    """Add the product of rows of a sparse matrix, from ``first`` on, with another to ``products``.

    Both are given as in csr; a column of the first matrix is a row of the other.
    """
    for row in range(len(products)):
        total = products[row]
        for entry in range(ends[first + row], ends[first + row + 1]):
            weight, other = weights[entry], columns[entry]
            for near in range(other_ends[other], other_ends[other + 1]):
                total[other_columns[near]] += weight * other_weights[near]


@compiled("void(int64[::1], int32[::1], float32[::1], float32[:, ::1], int64, float32[:, ::1])")
def add_dense(  # noqa: PLR0917
    ends: Longs, columns: Ints, weights: Floats, rows: Floats, first: int, products: Floats
) -> None:
    """Add the product of rows of a sparse matrix, from ``first`` on, with dense ``rows``."""
    for row in range(len(products)):
        total = products[row]
        for entry in range(ends[first + row], ends[first + row + 1]):
            weight, other = weights[entry], rows[columns[entry]]
            for column in range(len(total)):
                total[column] += weight * other[column]
