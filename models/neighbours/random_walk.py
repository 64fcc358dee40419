"""P3alpha and RP3beta: item neighbours by random walks of three steps."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.dataset import Dataset
from models.neighbours.lists import ItemLists, ListsConfig
from models.options import Cost, Size, TrainingOptions
from models.ranking.nearest import Search
from models.recency.learned import decay_of, learned_setting, learning_cost
from models.search_space import Range, Space

FloatArray = npt.NDArray[np.float32]
BETAS = (0.4, 0.2, 0.6)  # the candidates to learn from, the usual one first
LEAST = 1e-30  # weight of an item that has none


class RP3BetaConfig(ListsConfig):
    """Configuration of RP3beta."""

    alpha: float = Field(
        default=0.7, ge=0, le=2, description="exponent of the probability of a step; 1: as in the walk"
    )
    beta: Annotated[float, Field(ge=0, le=2)] | Literal["learned"] = Field(
        default="learned",
        description="an item's scores are divided by this power of its weight; 0: P3alpha; learned: 0.2, 0.4 "
        "or 0.6, by the last 40 % of the training events",
    )


class RP3Beta(ItemLists[RP3BetaConfig]):
    """Recommends where a random walk from the items of the history ends (models.neighbours.lists).

    The walk steps from an item to one of its users, and from there to one of their items, by the
    weights: s(i, j) = sum over users u of p(j to u)^alpha p(u to i)^alpha / d_i^beta, for an item i
    and one of the history, j; d_i is the sum of the weights of i. With beta = 0 this is P3alpha
    (Cooper et al. 2014, "Random Walks in Recommender Systems: Exact Computation and Simulations",
    section 3.2); beta keeps popular items from winning by their degree (Paudel et al. 2017,
    "Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications",
    section 3.3). An item keeps the neighbours j that lead to it most often.
    """

    name = "rp3beta"
    Config = RP3BetaConfig
    space: ClassVar[Space] = {
        "neighbours": Range(10, 800, log=True),
        "alpha": Range(0.1, 2.0),
        "beta": Range(0.0, 1.2),
        "normalisation": Range(0.0, 1.0),
    }

    @classmethod
    def cost(cls, config: RP3BetaConfig, size: Size) -> Cost:
        """Return the cost of the lists, and of learning a half-life."""
        own, choices = cls.listing_cost(config, size), len(BETAS) * (config.beta == "learned")
        return own + learning_cost(
            config.half_life_days, partial(cls.cost, _cheap(config)), size, choices=choices
        )

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        cheap = _cheap(self.config)
        self._decay = decay_of(self.config.half_life_days, dataset, lambda _: RP3Beta(cheap), options)
        beta = self.config.beta
        if beta == "learned":
            beta = learned_setting(
                RP3Beta, cheap, dataset, self._decay, options, name="beta", candidates=BETAS
            )
        self.report |= {"half_life_days": self._decay.days, "beta": beta}
        matrix, alpha = self._decay.dataset(dataset).matrix, self.config.alpha
        degrees = np.bincount(matrix.indices, matrix.data.astype(np.float64), minlength=self.n_items)
        by_item, ones = matrix.T.tocsr(), np.ones(self.n_items, dtype=np.float32)
        walks = Search(_steps(by_item, alpha).T.tocsr(), ones)  # from an item to its users
        divisors = np.asarray(np.maximum(degrees, LEAST) ** float(beta), dtype=np.float32)
        ends = _steps(matrix, alpha).T.tocsr()  # from a user to the item
        self._keep(walks.nearest(ends, divisors, self.config.neighbours, options.workers, itself=True))


def _steps(matrix: sparse.csr_array, alpha: float) -> sparse.csr_array:
    """Return the probabilities of a step from each row to a column, to the power of ``alpha``."""
    counts = np.diff(matrix.indptr)
    row = np.repeat(np.arange(matrix.shape[0]), counts)
    sums = np.bincount(row, matrix.data.astype(np.float64), minlength=matrix.shape[0])
    steps = (matrix.data / sums[row]) ** alpha
    return sparse.csr_array((steps.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def _cheap(config: RP3BetaConfig) -> RP3BetaConfig:
    """Return the settings that learn the half-life: no decay, and the usual beta if it is learned."""
    beta = BETAS[0] if config.beta == "learned" else config.beta
    return config.model_copy(update={"half_life_days": None, "beta": beta})
