"""Products of sparse matrices with sparse and dense ones, on several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.csr import csr_arrays

FloatArray = npt.NDArray[np.float32]
ROWS = 64  # that one thread computes at a time


def sparse_product(left: sparse.csr_array, right: sparse.csr_array, threads: int) -> FloatArray:
    """Return the product of two sparse matrices as a dense one."""
    from models.ranking.products_kernel import add_sparse

    products = np.zeros((left.shape[0], right.shape[1]), dtype=np.float32)
    sides = (*csr_arrays(left), *csr_arrays(right))
    in_parts(lambda rows: add_sparse(*sides, rows.start, products[rows]), len(products), threads)
    return products


def dense_product(left: sparse.csr_array, right: FloatArray, threads: int) -> FloatArray:
    """Return the product of a sparse and a dense matrix."""
    from models.ranking.products_kernel import add_dense

    products = np.zeros((left.shape[0], right.shape[1]), dtype=np.float32)
    sides = (*csr_arrays(left), right)
    in_parts(lambda rows: add_dense(*sides, rows.start, products[rows]), len(products), threads)
    return products


def in_parts(work: Callable[[slice], None], n: int, threads: int) -> None:
    """Call ``work`` for parts of n rows, on some threads."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(work, (slice(start, min(start + ROWS, n)) for start in range(0, n, ROWS))))
