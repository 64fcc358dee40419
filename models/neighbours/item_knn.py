"""Item-based nearest neighbours."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.neighbours.weighting import Weighting, weighted
from models.options import Cost, Size, TrainingOptions
from models.ranking.csr import csr_arrays
from models.ranking.nearest import nearest_columns
from models.ranking.topn import TopN
from models.recency.decay import Decay
from models.recency.learned import AgingConfig, decay_of, learning_cost
from models.search_space import Choice, Range, Space

FloatArray = npt.NDArray[np.float32]


class ItemKNNConfig(AgingConfig):
    """Configuration of item-based nearest neighbours."""

    neighbours: int = Field(default=100, ge=1, description="neighbours to keep per item")
    weighting: Weighting = Field(default="bm25", description="weights of the item columns for the cosine")
    shrink: float = Field(
        default=100.0, ge=0, description="added to the cosine's denominator; penalises rare items"
    )
    normalisation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="an item's scores are divided by this power of the sum of its similarities",
    )


class ItemKNN(Model[ItemKNNConfig]):
    """Recommends items that are similar to those in the history.

    score(u, i) = sum of weight(u, j) * s(i, j) over the nearest neighbours j of i in u's history,
    divided by (the sum of s(i, j) over all neighbours of i)^normalisation. At 0, similarities add
    up (Cremonesi, Koren, Turrin 2010, NNCosNgbr); at 1, the score is a weighted mean (Sarwar et al.
    2001). s(i, j) = <w_i, w_j> / (|w_i| |w_j| + shrink), where w_i is the weighted column of item i
    over users; shrink and weights follow Ferrari Dacrema et al. 2021 (see
    models.neighbours.weighting). Ties between neighbours go to the smaller item index. A score of 0
    means that no neighbour is in the history; such items are not recommended.
    """

    name = "item_knn"
    Config = ItemKNNConfig
    space: ClassVar[Space] = {
        "neighbours": Range(10, 800, log=True),
        "weighting": Choice(get_args(Weighting)),
        "shrink": Range(1.0, 2000.0, log=True),
        "normalisation": Range(0.0, 1.0),
    }
    evidence_only = True

    @classmethod
    def cost(cls, config: ItemKNNConfig, size: Size) -> Cost:
        """Return the cost of the products, and of choosing among the items of each.

        A user with n items adds to n^2 products, at most one for each pair of items is kept.
        """
        similar = min(size.products, float(size.items) ** 2)
        seconds = 7e-10 * size.products + 3.4e-9 * similar + 6e-8 * size.pairs + 2e-3
        own = Cost(seconds, 16.0 * size.items * config.neighbours + 40.0 * size.pairs)
        return own + learning_cost(config.half_life_days, partial(cls.cost, _cheap(config)), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        self._decay = decay_of(
            self.config.half_life_days,
            dataset,
            lambda _: ItemKNN(_cheap(self.config)),
            options,
            Decay.scaled_dataset,
        )
        self.report["half_life_days"] = self._decay.days
        columns = weighted(self._decay.scaled_dataset(dataset).matrix, self.config.weighting)
        top = nearest_neighbours(columns, self.config.neighbours, self.config.shrink, options.workers)
        self._keep(top.items, np.where(top.items < 0, np.float32(0), top.scores))

    def _keep(self, items: npt.NDArray[np.int32], similarities: FloatArray) -> None:
        """Store neighbours (n_items, neighbours), padded with -1 and 0, and the scoring matrix."""
        self._neighbours, self._similarities = items, similarities
        filled = items >= 0
        target = np.repeat(np.arange(len(items), dtype=np.int32), filled.sum(axis=1))
        sums = similarities.sum(axis=1, dtype=np.float64, keepdims=True)
        divisors = np.where(sums > 0, sums, 1.0) ** self.config.normalisation
        parts = ((similarities / divisors).astype(np.float32)[filled], (items[filled], target))
        self._matrix = sparse.coo_array(
            parts, shape=(self.n_items, self.n_items)
        ).tocsr()  # [history, target]

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
        from models.ranking.reasons import largest_reasons

        return largest_reasons(items, self._decay.histories(histories).matrix, self._matrix)

    def _scores(self, histories: Histories) -> FloatArray:
        from models.ranking.products_kernel import add_sparse

        matrix = self._decay.histories(histories).matrix
        scores = np.zeros(matrix.shape, dtype=np.float32)
        add_sparse(*csr_arrays(matrix), *csr_arrays(self._matrix), 0, scores)
        return scores

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
        self._keep(items, similarities)


def _cheap(config: ItemKNNConfig) -> ItemKNNConfig:
    """Return the settings that learn the half-life: the same, without decay."""
    return config.model_copy(update={"half_life_days": None})


def nearest_neighbours(columns: sparse.csr_array, n: int, shrink: float, threads: int) -> TopN:
    """Return the ``n`` most similar other columns of each column of ``columns`` (n_users, n_items).

    The similarity of two columns is <a, b> / (|a| |b| + shrink); only those above 0 count.
    """
    by_item = columns.T.tocsr()
    norms = np.sqrt(by_item.multiply(by_item).sum(axis=1)).astype(np.float32)
    return nearest_columns(columns, norms, n, shrink, threads)
