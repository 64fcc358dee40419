"""A sparse matrix of weights from item to item: scores, similar items, reasons and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.ranking.csr import csr_arrays
from models.ranking.topn import TopN

FloatArray = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """Weights csr float32 (n_items, n_items) that are summed over a history.

    An entry is what an item of a history, the row, adds to the score of another item, the column,
    by its weight in the history.
    """

    matrix: sparse.csr_array

    @classmethod
    def of(cls, items: Ints, weights: FloatArray) -> SparseWeights:
        """Return the weights of a number of items for each target, both (n_items, n).

        ``items`` are padded with -1; a weight of 0 is none.
        """
        there = (items >= 0) & (weights != 0)
        ends = np.concatenate(([0], np.cumsum(there.sum(axis=1))))
        by_target = sparse.csr_array((weights[there], items[there], ends), shape=(len(items), len(items)))
        return cls(sparse.csr_array(by_target.T.tocsr()))

    @cached_property
    def _by_target(self) -> sparse.csr_array:
        return sparse.csr_array(self.matrix.T.tocsr())

    def scores(self, histories: sparse.csr_array, threads: int) -> FloatArray:
        """Return the scores float32 (n_users, n_items) of histories csr (n_users, n_items)."""
        from models.ranking.products import sparse_product

        return sparse_product(histories, self.matrix, threads)

    def similar(self, items: npt.NDArray[np.integer], n: int, allowed: npt.NDArray[np.bool_]) -> TopN:
        """Return for each of ``items`` the ``n`` others that add most to its score, above 0.

        ``allowed`` bool (n_items,): the items to return. Ties go to the smaller index.
        """
        part = self._by_target[items]
        rows = np.repeat(np.arange(len(items)), np.diff(part.indptr))
        kept = (part.data > 0) & allowed[part.indices] & (part.indices != np.asarray(items)[rows])
        rows, near, weights = rows[kept], part.indices[kept], part.data[kept]
        order = np.lexsort((near, -weights, rows))
        rows, near, weights = rows[order], near[order], weights[order]
        ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
        first = ranks < n
        top = TopN.empty(len(items), n)
        top.items[rows[first], ranks[first]] = near[first]
        top.scores[rows[first], ranks[first]] = weights[first]
        return top

    def reasons(self, items: Ints, histories: sparse.csr_array) -> Ints:
        """Return the item of each history that adds most to each score, as ``largest_reasons``."""
        from models.ranking.reasons import largest_reasons

        return largest_reasons(items, histories, self.matrix)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights as arrays by name: ends int64, items int32 and weights float32."""
        ends, items, weights = csr_arrays(self.matrix)
        return {"ends": ends, "items": items, "weights": weights}

    @classmethod
    def restored(cls, arrays: Mapping[str, npt.NDArray[Any]], n_items: int) -> SparseWeights:
        """Return the weights of ``arrays``; ModelError if they are not those of so many items."""
        ends, items, weights = arrays["ends"], arrays["items"], arrays["weights"]
        if ends.dtype != np.int64 or items.dtype != np.int32 or weights.dtype != np.float32:
            raise ModelError(
                "expected ends int64, items int32 and weights float32, "
                f"got {ends.dtype}, {items.dtype} and {weights.dtype}"
            )
        if ends.shape != (n_items + 1,) or items.ndim != 1 or items.shape != weights.shape:
            raise ModelError(
                f"expected ends of {n_items} items and as many items as weights, "
                f"got {ends.shape}, {items.shape} and {weights.shape}"
            )
        if ends[0] != 0 or ends[-1] != len(items) or (np.diff(ends) < 0).any():
            raise ModelError(f"expected ends from 0 to {len(items)} that do not decrease, got {ends!r:.100}")
        if len(items) and (items.min() < 0 or items.max() >= n_items):
            raise ModelError(f"expected items from 0 to {n_items - 1}, got {items.min()}..{items.max()}")
        return cls(sparse.csr_array((weights, items, ends), shape=(n_items, n_items)))
