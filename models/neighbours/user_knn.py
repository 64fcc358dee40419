"""User-based nearest neighbours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.evaluation.window import USERS
from models.neighbours.measures import Compared, MeasuredConfig
from models.neighbours.weighting import Weighting
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.csr import csr_arrays
from models.recency.decay import Decay
from models.recency.learned import decay_of, learning_cost
from models.search_space import Choice, Range, Space

FloatArray = npt.NDArray[np.float32]
SKEW = 4.0  # times as many users as with an even catalogue have an item of a history


class UserKNNConfig(MeasuredConfig):
    """Configuration of user-based nearest neighbours."""

    neighbours: int = Field(default=200, ge=1, description="neighbours of a user that count")
    weighting: Weighting = Field(default="bm25", description="weights of the histories that are compared")
    normalisation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="an item's score is divided by this power of the sum of the similarities of the neighbours "
        "who have it",
    )


class UserKNN(Model[UserKNNConfig]):
    """Recommends what the users have whose histories are most like the user's own.

    score(u, i) = sum of s(u, v) * weight(v, i) over the nearest neighbours v of u among the training
    users who have i, divided by (the sum of their s(u, v))^normalisation. At 0 this is the form for
    rankings (Resnick et al. 1994 without means; Ferrari Dacrema et al. 2021, section 5.2), at 1 the
    weighted mean for ratings. The similarity of two users is measured on their histories, whose
    weights are changed first (models.neighbours.weighting); see models.neighbours.measures. Ties
    between neighbours go to the smaller user index. A score of 0 means that no neighbour has the
    item; such items are not recommended.

    The model is the training matrix: any history can be compared with it, a new user's as well. A
    training user is their own nearest neighbour, which adds to the items that they have.
    """

    name = "user_knn"
    Config = UserKNNConfig
    space: ClassVar[Space] = {
        "neighbours": Range(10, 800, log=True),
        "weighting": Choice(get_args(Weighting)),
        "similarity": Choice(("cosine", "asymmetric", "jaccard")),
        "asymmetry": Range(0.0, 1.0),
        "shrink": Range(1.0, 2000.0, log=True),
        "normalisation": Range(0.0, 1.0),
    }
    evidence_only = True

    @classmethod
    def cost(cls, config: UserKNNConfig, size: Size) -> Cost:
        """Return the cost of the weights, and of learning a half-life, for which lists are made."""
        own = Cost(1e-7 * size.pairs + 2e-3, 60.0 * size.pairs, 12.0 * size.pairs)
        return own + learning_cost(config.half_life_days, partial(_trial_cost, _cheap(config)), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        self._decay = decay_of(
            self.config.half_life_days,
            dataset,
            lambda _: UserKNN(_cheap(self.config)),
            options,
            Decay.scaled_dataset,
        )
        self.report["half_life_days"] = self._decay.days
        scaled, decayed = self._decay.scaled_dataset(dataset).matrix, self._decay.dataset(dataset).matrix
        scale = scaled.sum(dtype=np.float64) / decayed.sum(dtype=np.float64)
        self._keep(scaled[np.diff(scaled.indptr) > 0], np.float32(scale))

    def _keep(self, matrix: sparse.csr_array, scale: np.float32) -> None:
        """Store the training histories csr (n_users, n_items), and the scale of their weights."""
        self._matrix, self._scale = matrix, scale
        self._compared = Compared.of(matrix, self.config)

    def _scores(self, histories: Histories) -> FloatArray:
        from models.neighbours.nearest_kernel import add_neighbours

        matrix = self._decay.histories(histories).matrix
        parts = (self._scale * matrix.data, matrix.indices, matrix.indptr)
        rows = self._compared.as_compared(sparse.csr_array(parts, shape=matrix.shape))
        threads = workers()
        near = self._compared.nearest(rows, self.config.neighbours, threads)
        scores = np.zeros(matrix.shape, dtype=np.float32)
        known = (near.items, near.scores, *csr_arrays(self._matrix), self.config.normalisation)
        step = max(1, -(-len(scores) // threads))

        def add(start: int) -> None:
            add_neighbours(*known, start, scores[start : start + step])

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(add, range(0, len(scores), step)))
        return scores

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        ends, items, weights = csr_arrays(self._matrix)
        parts = {"ends": ends, "items": items, "weights": weights}
        return parts | {"scale": np.array([self._scale]), "decay": self._decay.array()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay = Decay.restored(arrays["decay"])
        ends, items, weights, scale = (arrays[name] for name in ("ends", "items", "weights", "scale"))
        if (ends.dtype, items.dtype, weights.dtype) != (np.int64, np.int32, np.float32):
            raise ModelError(
                "expected ends int64, items int32 and weights float32, got "
                f"{ends.dtype}, {items.dtype} and {weights.dtype}"
            )
        if scale.shape != (1,) or scale.dtype != np.float32 or not np.isfinite(scale).all():
            raise ModelError(f"expected a scale float32 (1,), got {scale!r:.100}")
        if ends.ndim != 1 or len(ends) < 2 or ends[0] or (np.diff(ends) < 0).any() or ends[-1] != len(items):
            raise ModelError(f"expected ends of rows from 0 to {len(items)}, got {ends!r:.100}")
        if items.shape != weights.shape or not len(items):
            raise ModelError(f"expected as many items as weights, got {items.shape} and {weights.shape}")
        if items.min() < 0 or items.max() >= self.n_items:
            raise ModelError(
                f"expected items from 0 to {self.n_items - 1}, got {items.min()}..{items.max()}"
            )
        shape = (len(ends) - 1, self.n_items)
        self._keep(sparse.csr_array((weights, items, ends), shape=shape), scale[0])


def _trial_cost(config: UserKNNConfig, size: Size) -> Cost:
    """Return the cost of a training and its lists, with settings that learn nothing."""
    lists = min(USERS, size.users) * SKEW * (size.pairs / max(1, size.users)) * size.pairs / max(1, size.items)
    return UserKNN.cost(config, size) + Cost(1e-9 * lists, 0.0)


def _cheap(config: UserKNNConfig) -> UserKNNConfig:
    """Return the settings that learn the half-life: the same, without decay."""
    return config.model_copy(update={"half_life_days": None})
