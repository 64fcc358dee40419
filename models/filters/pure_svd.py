"""PureSVD: the truncated singular value decomposition of the user-item matrix."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.filters.directions import directions_cost, leading_directions
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.blas import one_blas_thread
from models.ranking.products import dense_product
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.recency.decay import Decay
from models.recency.learned import AgingConfig, decay_of, learned_setting, learning_cost
from models.search_space import Range, Space

FloatArray = npt.NDArray[np.float32]
FACTORS = (64, 32, 16, 256)  # the candidates to learn from, the usual one first


class PureSVDConfig(AgingConfig):
    """Configuration of PureSVD."""

    factors: Annotated[int, Field(ge=1, le=4096)] | Literal["learned"] = Field(
        default="learned",
        description="singular values to keep; learned: 16, 32, 64 or 256, by the last 40 % of the training "
        "events",
    )


class PureSVD(Model[PureSVDConfig]):
    """Scores items by the projection of a history onto the leading item directions.

    score(u, i) = r_u V v_i for the leading right singular vectors V (n_items, factors) of the
    user-item matrix R, where pairs without an event are 0 (Cremonesi, Koren, Turrin 2010,
    "Performance of Recommender Algorithms on Top-N Recommendation Tasks", section 3.2.2, equation
    6). It is the ideal low-pass filter of the graph of items that users share.
    """

    name = "pure_svd"
    Config = PureSVDConfig
    space: ClassVar[Space] = {"factors": Range(8, 512, log=True)}

    @classmethod
    def cost(cls, config: PureSVDConfig, size: Size) -> Cost:
        """Return the cost of the products and of making the block orthonormal in each round."""
        own = directions_cost(_most(config), size)
        choices = len(FACTORS) * (config.factors == "learned")
        return own + learning_cost(
            config.half_life_days, partial(cls.cost, _cheap(config)), size, choices=choices
        )

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        cheap = _cheap(self.config)
        self._decay = decay_of(self.config.half_life_days, dataset, lambda _: PureSVD(cheap), options)
        factors = self.config.factors
        if factors == "learned":
            factors = learned_setting(
                PureSVD, cheap, dataset, self._decay, options, name="factors", candidates=FACTORS
            )
        self.report |= {"half_life_days": self._decay.days, "factors": factors}
        matrix = self._decay.dataset(dataset).matrix
        self._items = leading_directions(matrix, int(factors), options, self.name)

    def vectors(self, histories: Histories) -> FloatArray:
        """Return the projections of the histories, float32 (n_users, factors)."""
        matrix = self._decay.histories(histories).matrix
        return dense_product(matrix, self._items, workers())

    def item_vectors(self) -> FloatArray:
        """Return the item directions float32 (n_items, factors); zero for items without a weight."""
        return self._items

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the item of the history with the most similar vector, by a cosine above 0."""
        from models.ranking.reasons import nearest_reasons

        return nearest_reasons(items, histories.matrix, self._items)

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items whose vectors have the largest cosines above 0 with ``items``."""
        return similar_vectors(self._items, items, n, self.eligible(allowed))

    def _scores(self, histories: Histories) -> FloatArray:
        with one_blas_thread():
            return np.asarray(self.vectors(histories) @ self._items.T)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"item_vectors": self._items, "decay": self._decay.array()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay, self._items = Decay.restored(arrays["decay"]), arrays["item_vectors"]
        factors = self.config.factors
        width = self._items.shape[-1] if factors == "learned" else factors
        shape = (self.n_items, width)
        if self._items.shape != shape or self._items.dtype != np.float32:
            raise ModelError(
                f"expected item_vectors float32 {shape}, got {self._items.dtype} {self._items.shape}"
            )


def _most(config: PureSVDConfig) -> int:
    return FACTORS[0] if config.factors == "learned" else config.factors


def _cheap(config: PureSVDConfig) -> PureSVDConfig:
    """Return the settings that learn the half-life: no decay, and the usual factors if learned."""
    return config.model_copy(update={"half_life_days": None, "factors": _most(config)})
