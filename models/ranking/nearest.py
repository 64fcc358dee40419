"""The nearest rows of a sparse matrix, by their products."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.csr import csr_arrays
from models.ranking.topn import TopN

FloatArray = npt.NDArray[np.float32]
ROWS = 256  # rows whose neighbours one call finds
NOWHERE = -(2**62)  # the number of a row that is not among those compared with


@dataclass(frozen=True, eq=False)
class Search:
    """Rows to search for neighbours, and their part of the similarity.

    ``by_term`` csr (n_terms, n_rows), ``norms`` float32 (n_rows,); see
    models.ranking.nearest_kernel.nearest_rows for the similarity.
    """

    by_term: sparse.csr_array
    norms: FloatArray
    shrink: float = 0.0
    overlap: bool = False

    def nearest(
        self, rows: sparse.csr_array, own_norms: FloatArray, n: int, threads: int, *, itself: bool = False
    ) -> TopN:
        """Return the ``n`` nearest to each of rows csr (any, n_terms), with norms float32 (any,).

        Only similarities above 0 count; ties go to the smaller row. With ``itself``, row i of both
        is the same and is left out.
        """
        top = TopN.empty(rows.shape[0], n)

        def keep(part: slice, found: TopN) -> None:
            top.items[part], top.scores[part] = found.items, found.scores

        self._find(rows, own_norms, n, threads, keep, itself=itself)
        return top

    def nth_similarity(
        self, rows: sparse.csr_array, own_norms: FloatArray, n: int, threads: int
    ) -> FloatArray:
        """Return the similarity of the ``n``-th nearest of each of rows csr, float32 (n_rows,).

        It is the least number above 0 if there are fewer. Row i of both is the same.
        """
        least = np.zeros(rows.shape[0], dtype=np.float32)

        def keep(part: slice, found: TopN) -> None:
            least[part] = found.scores[:, -1]

        self._find(rows, own_norms, n, threads, keep, itself=True)
        return np.maximum(least, np.finfo(np.float32).smallest_subnormal)

    def _find(
        self,
        rows: sparse.csr_array,
        own_norms: FloatArray,
        n: int,
        threads: int,
        keep: Callable[[slice, TopN], None],
        *,
        itself: bool,
    ) -> None:
        """Pass the neighbours of some rows at a time, and which rows these are, to ``keep``."""
        from models.ranking.nearest_kernel import nearest_rows

        sides = (*csr_arrays(rows), *csr_arrays(self.by_term), own_norms, self.norms)
        n_rows, number = rows.shape[0], 0 if itself else NOWHERE
        step = max(1, min(ROWS, -(-n_rows // max(1, threads))))

        def find(start: int) -> None:
            part = slice(start, min(start + step, n_rows))
            found = TopN.empty(part.stop - start, n)
            limits = (np.float32(self.shrink), self.overlap, start, number)
            nearest_rows(*sides, *limits, found.items, found.scores)
            keep(part, found)

        with ThreadPoolExecutor(max(1, threads)) as pool:
            list(pool.map(find, range(0, n_rows, step)))


def nearest_columns(
    columns: sparse.csr_array, norms: FloatArray, n: int, shrink: float, threads: int
) -> TopN:
    """Return the ``n`` most similar other columns of each column of ``columns`` (n_users, n_items).

    The similarity of two columns is <a, b> / (norm of a * norm of b + shrink), with the ``norms``
    float32 (n_items,); only those above 0 count. Ties go to the smaller number.
    """
    return Search(columns, norms, shrink).nearest(columns.T.tocsr(), norms, n, threads, itself=True)
