"""Item neighbours as a model: lists of the nearest items, whose similarities add up to scores."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.base import Model
from models.dataset import Histories
from models.errors import ModelError
from models.options import Cost, Size, workers
from models.ranking.sparse_weights import SparseWeights
from models.ranking.topn import TopN
from models.recency.decay import Decay
from models.recency.learned import AgingConfig

FloatArray = npt.NDArray[np.float32]


class ListsConfig(AgingConfig):
    """How many neighbours an item has, and how they add up."""

    neighbours: int = Field(default=100, ge=1, description="neighbours to keep per item")
    normalisation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="an item's scores are divided by this power of the sum of its similarities",
    )


C = TypeVar("C", bound=ListsConfig)


class ItemLists(Model[C]):
    """Scores items by the items of the history that are among their neighbours.

    score(u, i) = sum of weight(u, j) * s(i, j) over the nearest neighbours j of i in u's history,
    divided by (the sum of s(i, j) over all neighbours of i)^normalisation. At 0, similarities add
    up (Cremonesi, Koren, Turrin 2010, NNCosNgbr); at 1, the score is a weighted mean (Sarwar et al.
    2001). Ties between neighbours go to the smaller item index. A score of 0 means that no
    neighbour is in the history; such items are not recommended.

    A subclass computes neighbours in `_fit`, and ends with `_keep`; it sets ``_decay``.
    """

    evidence_only = True
    _decay: Decay

    @classmethod
    def listing_cost(cls, config: C, size: Size) -> Cost:
        """Return the cost of the products, and of choosing among the items of each.

        A user with n items adds to n^2 products, at most one for each pair of items is kept.
        """
        similar = min(size.products, float(size.items) ** 2)
        seconds = 7e-10 * size.products + 3.4e-9 * similar + 6e-8 * size.pairs + 2e-3
        return Cost(seconds, 16.0 * size.items * config.neighbours + 40.0 * size.pairs)

    def _keep(self, top: TopN) -> None:
        """Store the neighbours of each item (n_items, neighbours) and the scoring matrix."""
        items, similarities = top.items, np.where(top.items < 0, np.float32(0), top.scores)
        self._neighbours, self._similarities = items, similarities
        sums = similarities.sum(axis=1, dtype=np.float64, keepdims=True)
        divisors = np.where(sums > 0, sums, 1.0) ** self.config.normalisation
        self._weights = SparseWeights.of(items, (similarities / divisors).astype(np.float32))

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the ``n`` nearest neighbours of each of ``items``, at most ``neighbours``."""
        near, scores = self._neighbours[items], self._similarities[items]
        kept = (near >= 0) & self.eligible(allowed)[near]
        first = np.argsort(~kept, axis=1, kind="stable")[:, :n]  # kept neighbours first, in order
        kept, width = np.take_along_axis(kept, first, axis=1), first.shape[1]
        top = TopN.empty(len(items), n)
        top.items[:, :width] = np.where(kept, np.take_along_axis(near, first, axis=1), -1)
        top.scores[:, :width] = np.where(kept, np.take_along_axis(scores, first, axis=1), -np.inf)
        return top

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the item of the history that adds most to each score."""
        return self._weights.reasons(items, self._decay.histories(histories).matrix)

    def _scores(self, histories: Histories) -> FloatArray:
        return self._weights.scores(self._decay.histories(histories).matrix, workers())

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {"neighbours": self._neighbours, "similarities": self._similarities}
        return arrays | {"decay": self._decay.array()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay = Decay.restored(arrays["decay"])
        items, similarities = arrays["neighbours"], arrays["similarities"]
        shape = (self.n_items, self.config.neighbours)
        if items.shape != shape or similarities.shape != shape or items.dtype != np.int32:
            raise ModelError(f"expected neighbours int32 {shape}, got {items.dtype} {items.shape}")
        if similarities.dtype != np.float32:
            raise ModelError(f"expected similarities float32 {shape}, got {similarities.dtype}")
        if items.min() < -1 or items.max() >= self.n_items:
            raise ModelError(
                f"expected neighbours from -1 to {self.n_items - 1}, got {items.min()}..{items.max()}"
            )
        self._keep(TopN(items, similarities))
