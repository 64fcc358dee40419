"""A filter of histories as dense weights from item to item, for catalogues of some size."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.products import dense_product
from models.ranking.similarity import self_exclusions
from models.ranking.topn import TopN, top_n
from models.recency.decay import Decay
from models.recency.learned import AgingConfig, decay_of, learning_cost

FloatArray = npt.NDArray[np.float32]


class DenseFilterConfig(AgingConfig):
    """Configuration of a filter that keeps a weight for every pair of items."""

    largest: int = Field(
        default=16_384,
        ge=1,
        description="items beyond which it is not trained: twice as many need four times the space",
    )


C = TypeVar("C", bound=DenseFilterConfig)


class DenseFilter(Model[C]):
    """Scores a history r by r W, with weights W float32 (n_items, n_items) of the trained items.

    A subclass computes W from the training weights in `_filter`.
    """

    @abstractmethod
    def _filter(self, matrix: sparse.csr_array, options: TrainingOptions) -> FloatArray:
        """Return the weights float32 (n, n) from csr (n_users, n), all of whose columns have entries."""

    @classmethod
    def filter_cost(cls, config: C, size: Size) -> Cost:
        """Return the cost of the filter alone: here, of the products of sparse rows."""
        weights = 4.0 * size.items**2
        seconds = 1e-9 * size.products + 2e-8 * size.pairs + 3e-3
        refusal = _refusal(cls.name, config.largest, size.items)
        return Cost(seconds, 40.0 * size.pairs + weights, weights, refusal)

    @classmethod
    def cost(cls, config: C, size: Size) -> Cost:
        """Return the cost of the filter, and of learning a half-life."""
        own = cls.filter_cost(config, size)
        return own + learning_cost(config.half_life_days, partial(cls.cost, _cheap(config)), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        cheap = _cheap(self.config)
        self._decay = decay_of(self.config.half_life_days, dataset, lambda _: type(self)(cheap), options)
        self.report["half_life_days"] = self._decay.days
        matrix = self._trained(self._decay.dataset(dataset).matrix)
        if refusal := _refusal(self.name, self.config.largest, matrix.shape[1]):
            raise ModelError(f"{self.name} is left out: {refusal}")
        self._weights = self._filter(matrix[np.diff(matrix.indptr) > 0], options)

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items with the largest weights to each of ``items``, above 0."""
        columns = np.flatnonzero(self.trained_items)
        known = np.flatnonzero(self.trained_items[items])
        own = np.searchsorted(columns, items[known])
        near = top_n(
            np.ascontiguousarray(self._weights[:, own].T),
            n,
            exclude=self_exclusions(own, len(columns)),
            allowed=self.eligible(allowed)[self.trained_items],
            above=0.0,
            overwrite=True,
        )
        top = TopN.empty(len(items), n)
        top.items[known] = np.where(near.items < 0, -1, columns[near.items])
        top.scores[known] = near.scores
        return top

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the item of the history that adds most to each score."""
        from models.ranking.reasons import largest_reasons

        columns = np.flatnonzero(self.trained_items)
        numbers = np.full(self.n_items + 1, -1, dtype=np.int32)  # the last one for a padded item
        numbers[columns] = np.arange(len(columns))
        matrix = self._trained(self._decay.histories(histories).matrix)
        found = largest_reasons(numbers[items], matrix, self._weights)
        return np.where(found < 0, -1, columns[found]).astype(np.int32)

    def _scores(self, histories: Histories) -> FloatArray:
        matrix = self._trained(self._decay.histories(histories).matrix)
        scores = dense_product(matrix, self._weights, workers())
        if scores.shape[1] == self.n_items:
            return scores
        full = np.zeros((len(scores), self.n_items), dtype=np.float32)
        full[:, self.trained_items] = scores
        return full

    def _trained(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Return the columns of the trained items."""
        return matrix if self.trained_items.all() else matrix[:, np.flatnonzero(self.trained_items)]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self._weights, "decay": self._decay.array()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay, n = Decay.restored(arrays["decay"]), int(self.trained_items.sum())
        self._weights = arrays["weights"]
        if self._weights.shape != (n, n) or self._weights.dtype != np.float32:
            raise ModelError(
                f"expected weights float32 {(n, n)}, got {self._weights.dtype} {self._weights.shape}"
            )


def scaled(matrix: sparse.csr_array, row_power: float, column_power: float) -> sparse.csr_array:
    """Return csr float32 with entries times the sum of their row, and of their column, to some power."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    weights = matrix.data.astype(np.float64)
    rows = np.bincount(row, weights, minlength=matrix.shape[0])
    columns = np.bincount(matrix.indices, weights, minlength=matrix.shape[1])
    data = weights * rows[row] ** row_power * columns[matrix.indices] ** column_power
    return sparse.csr_array((data.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def _cheap(config: C) -> C:
    """Return the settings that learn the half-life: the same, without decay."""
    return config.model_copy(update={"half_life_days": None})


def _refusal(name: str, largest: int, items: int) -> str:
    """Return why a catalogue is too large; empty if it is not."""
    return f"{items:,} items are more than models.{name}.largest, {largest:,}" if items > largest else ""
