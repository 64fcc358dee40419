"""Popularity: the same ranking for every user."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Cost, Size, TrainingOptions


class PopularityConfig(ModelConfig):
    """Configuration of popularity."""

    count: Literal["users", "weight"] = Field(
        default="users",
        description="score of an item: its number of users, or the sum of their training weights",
    )


C = TypeVar("C", bound=ModelConfig)


class SameForAll(Model[C]):
    """A model with one ranking for all users; ``_fit`` sets ``_popularity`` float32 (n_items,)."""

    evidence_only = True
    personal = False
    _popularity: npt.NDArray[np.float32]

    @classmethod
    def cost(cls, config: C, size: Size) -> Cost:  # noqa: ARG003
        """Return the cost of counting."""
        return Cost(1e-3 + 1e-8 * size.pairs, 8.0 * size.pairs)

    def _scores(self, histories: Histories) -> npt.NDArray[np.float32]:
        return np.repeat(self._popularity[None], len(histories), axis=0)  # (n_users, n_items)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"popularity": self._popularity}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._popularity = arrays["popularity"]
        if self._popularity.shape != (self.n_items,) or self._popularity.dtype != np.float32:
            raise ModelError(
                f"expected popularity float32 ({self.n_items},), "
                f"got {self._popularity.dtype} {self._popularity.shape}"
            )


class Popularity(SameForAll[PopularityConfig]):
    """An item's score is its number of users, or the sum of their weights (in float64)."""

    name = "popularity"
    Config = PopularityConfig

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:  # noqa: ARG002
        matrix = dataset.matrix
        weights = matrix.data.astype(np.float64) if self.config.count == "weight" else None
        self._popularity = np.bincount(matrix.indices, weights, minlength=self.n_items).astype(np.float32)
