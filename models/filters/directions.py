"""The leading directions of a sparse matrix: its right singular vectors."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.options import FLOPS, Cost, Size, TrainingOptions
from models.ranking.blas import one_blas_thread
from models.ranking.products import dense_product

FloatArray = npt.NDArray[np.float32]
MORE: Final = 16  # directions that the iterations have beside those to keep, at least
ROUNDS: Final = 6  # of the subspace iteration
SPEED: Final = 5e9  # operations of a sparse product in a second
ROUNDING: Final = 1e-6  # of the longest item vector
EPSILON: Final = 1e-10  # of the largest squared singular value: what is less is rounding


def leading_directions(
    matrix: sparse.csr_array, factors: int, options: TrainingOptions, name: str
) -> FloatArray:
    """Return the leading right singular vectors of csr (n_users, n_items), float32 (n_items, factors).

    They come from a block of random vectors that is multiplied by the square of the matrix and made
    orthonormal in turn (Halko, Martinsson, Tropp 2011, "Finding Structure with Randomness",
    algorithm 4.4). Progress is reported as that of the model ``name``. Directions beyond the rank
    of the matrix are 0. The bytes do not depend on the threads.
    """
    threads, by_item = options.workers, matrix.T.tocsr()
    known = np.diff(by_item.indptr) > 0
    width = min(_width(factors), int(known.sum()), int((np.diff(matrix.indptr) > 0).sum()))
    block = np.zeros((matrix.shape[1], width), dtype=np.float32)
    block[known] = np.random.default_rng(options.seed).standard_normal((int(known.sum()), width), np.float32)
    with one_blas_thread():
        for number in range(ROUNDS):
            block = np.linalg.qr(dense_product(by_item, dense_product(matrix, block, threads), threads))[0]
            options.report(name, number + 1, ROUNDS)
        image = dense_product(matrix, block, threads).astype(np.float64)
        squares, turns = np.linalg.eigh(image.T @ image)
        leading = np.argsort(-squares, kind="stable")[:factors]
        leading = leading[squares[leading] > EPSILON * squares.max()]
        directions = np.zeros((matrix.shape[1], factors), dtype=np.float32)
        directions[:, : len(leading)] = block @ turns[:, leading].astype(np.float32)
    lengths = np.linalg.norm(directions, axis=1)
    directions[lengths < ROUNDING * lengths.max()] = 0  # items without a part in any direction
    return directions


def directions_cost(factors: int, size: Size) -> Cost:
    """Return the cost of the products, and of making the block orthonormal in each round."""
    width = min(_width(factors), size.users, size.items)
    products = 4.0 * size.pairs * width * (ROUNDS + 0.5) / SPEED
    orthonormal = 4.0 * size.items * width**2 * ROUNDS / FLOPS
    memory = 40.0 * size.pairs + 4.0 * width * (2 * size.users + 3 * size.items)
    return Cost(products + orthonormal + 5e-3, memory)


def _width(factors: int) -> int:
    """Return the columns of the block that finds so many directions."""
    return factors + max(MORE, factors // 4)
