"""The nearest columns of each column of a sparse matrix, by their products."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.csr import csr_arrays
from models.ranking.topn import TopN

ROWS = 256  # columns whose neighbours one call finds


def nearest_columns(
    columns: sparse.csr_array, norms: npt.NDArray[np.float32], n: int, shrink: float, threads: int
) -> TopN:
    """Return the ``n`` most similar other columns of each column of ``columns`` (n_users, n_items).

    The similarity of two columns is <a, b> / (norm of a * norm of b + shrink), with the ``norms``
    float32 (n_items,); only those above 0 count. Ties go to the smaller number.
    """
    from models.ranking.nearest_kernel import nearest_items

    top = TopN.empty(len(norms), n)
    sides = (*csr_arrays(columns.T.tocsr()), *csr_arrays(columns))

    def nearest(start: int) -> None:
        part = slice(start, start + ROWS)
        nearest_items(*sides, norms, np.float32(shrink), start, top.items[part], top.scores[part])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(nearest, range(0, len(norms), ROWS)))
    return top
