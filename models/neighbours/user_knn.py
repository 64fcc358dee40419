"""User-based nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.evaluation.window import PAIRS, USERS
from models.neighbours.measures import Compared, Measure, MeasuredConfig
from models.neighbours.weighting import Weighting
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.csr import csr_arrays
from models.recency.decay import Decay
from models.recency.learned import decay_of, learned_setting, learning_cost
from models.search_space import Choice, Range, Space

FloatArray = npt.NDArray[np.float32]
SKEW = 8.0  # times as many users as with an even catalogue have an item of a history
NEIGHBOURS = (250, 60, 1000)  # the candidates to learn from, the usual one first
PRODUCTS = 1e9  # of weights that are added up in a second
Add = Callable[[int, FloatArray], None]


class UserKNNConfig(MeasuredConfig):
    """Configuration of user-based nearest neighbours."""

    neighbours: Annotated[int, Field(ge=1)] | Literal["learned"] = Field(
        default="learned",
        description="neighbours of a user; learned: 60, 250 or 1,000, by the last 40 % of the training "
        "events",
    )
    neighbourhood: Literal["inverted", "nearest"] = Field(
        default="inverted",
        description="the users that count; nearest: the neighbours; inverted: those whose neighbour the user "
        "is",
    )
    weighting: Weighting = Field(default="none", description="weights of the histories that are compared")
    similarity: Measure = Field(
        default="asymmetric", description="measure of how similar two histories are, as of item_knn"
    )
    asymmetry: float = Field(default=0.4, ge=0, le=1, description="of the asymmetric cosine, as of item_knn")
    shrink: float = Field(
        default=0.0, ge=0, description="added to the denominator; penalises short histories"
    )
    normalisation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="an item's score is divided by this power of the sum of the similarities of those who "
        "have it; it only matters where weights differ",
    )


class UserKNN(Model[UserKNNConfig]):
    """Recommends what the users have whose histories are most like the user's own.

    score(u, i) = sum of s(v, u) * weight(v, i) over the training users v that count for u and have
    i, divided by (the sum of their s(v, u))^normalisation. At 0 this is the form for rankings
    (Ferrari Dacrema et al. 2021, section 5.2), at 1 the weighted mean for ratings. With the
    "nearest" neighbourhood the nearest neighbours of u count; with the "inverted" one those v count
    that have u among their nearest (Vargas, Castells 2014, "Improving Sales Diversity by
    Recommending Users to Items", section 4.1), so that no user with an average taste is a neighbour
    of everybody. s(v, u) is then measured from v. It is measured on the histories, whose weights are
    changed first (models.neighbours.weighting, models.neighbours.measures). Ties between neighbours
    go to the smaller user index. A score of 0 means that nobody who counts has the item; such items
    are not recommended.

    The model is the training matrix: any history can be compared with it, a new user's as well. A
    training user counts for themselves, which adds to the items that they have.
    """

    name = "user_knn"
    Config = UserKNNConfig
    space: ClassVar[Space] = {
        "neighbours": Range(10, 800, log=True),
        "neighbourhood": Choice(("inverted", "nearest")),
        "weighting": Choice(("none", "bm25")),
        "asymmetry": Range(0.1, 0.9),
        "shrink": Range(0.1, 1000.0, log=True),
    }
    evidence_only = True
    _compared: Compared
    _seeking: FloatArray

    @classmethod
    def cost(cls, config: UserKNNConfig, size: Size) -> Cost:
        """Return the cost of comparing all users, and of learning a half-life, for which lists are made."""
        seconds = 2e-7 * size.pairs + 2e-3
        if config.neighbourhood == "inverted":
            seconds += size.users * _products(size) / PRODUCTS
        own, cheap = Cost(seconds, 60.0 * size.pairs, 12.0 * size.pairs), _cheap(config)
        learning = learning_cost(config.half_life_days, partial(_trial_cost, cheap), size)
        if config.neighbours == "learned":
            choices = len(NEIGHBOURS)
            learning += learning_cost(None, partial(_trial_cost, cheap), size, choices=choices, pairs=PAIRS)
        return own + learning

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        cheap, weigh = _cheap(self.config), Decay.scaled_dataset
        self._decay = decay_of(self.config.half_life_days, dataset, lambda _: UserKNN(cheap), options, weigh)
        count = self.config.neighbours
        if count == "learned":
            count = learned_setting(
                UserKNN,
                cheap,
                dataset,
                self._decay,
                options,
                name="neighbours",
                candidates=NEIGHBOURS,
                weigh=weigh,
                pairs=PAIRS,
            )
        self.report |= {"half_life_days": self._decay.days, "neighbours": count}
        scaled, decayed = weigh(self._decay, dataset).matrix, self._decay.dataset(dataset).matrix
        scale = scaled.sum(dtype=np.float64) / decayed.sum(dtype=np.float64)
        self._keep(scaled[np.diff(scaled.indptr) > 0], np.float32(scale), int(count))
        if self.config.neighbourhood == "inverted":
            compared = self._compared
            self._least = compared.search.nth_similarity(
                compared.rows, self._seeking, self._count, options.workers
            )

    def _keep(self, matrix: sparse.csr_array, scale: np.float32, count: int) -> None:
        """Store the training histories csr (n_users, n_items), the scale of their weights, and K."""
        self._matrix, self._scale, self._count = matrix, scale, count
        self._least = np.zeros(0, dtype=np.float32)
        self._compared = Compared.of(matrix, self.config)
        self._seeking = self._compared.norms(self._compared.rows, sought=False)

    def _scores(self, histories: Histories) -> FloatArray:
        matrix = self._decay.histories(histories).matrix
        parts = (self._scale * matrix.data, matrix.indices, matrix.indptr)
        rows = self._compared.as_compared(sparse.csr_array(parts, shape=matrix.shape))
        scores, threads = np.zeros(matrix.shape, dtype=np.float32), workers()
        inverted = self.config.neighbourhood == "inverted"
        add = self._from_followers(rows) if inverted else self._from_neighbours(rows, threads)
        step = max(1, -(-len(scores) // threads))
        with ThreadPoolExecutor(threads) as pool:
            starts = range(0, len(scores), step)
            list(pool.map(lambda start: add(start, scores[start : start + step]), starts))
        return scores

    def _from_neighbours(self, rows: sparse.csr_array, threads: int) -> Add:
        """Return what adds the items of the neighbours of rows, from a number on, to their scores."""
        from models.ranking.nearest_kernel import add_neighbours

        norms = self._compared.norms(rows, sought=False)
        near = self._compared.search.nearest(rows, norms, self._count, threads)
        known = (near.items, near.scores, *csr_arrays(self._matrix), self.config.normalisation)
        return partial(add_neighbours, *known)

    def _from_followers(self, rows: sparse.csr_array) -> Add:
        """Return what adds the items of those whose neighbours the rows are."""
        from models.ranking.nearest_kernel import add_followers

        compared, shrink = self._compared, np.float32(self.config.shrink)
        sides = (*csr_arrays(rows), *csr_arrays(compared.search.by_term))
        norms = (compared.norms(rows, sought=True), self._seeking, shrink, compared.overlap)
        known = (*csr_arrays(self._matrix), self.config.normalisation)
        return partial(add_followers, *sides, *norms, self._least, *known)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        ends, items, weights = csr_arrays(self._matrix)
        parts: dict[str, npt.NDArray[Any]] = {"ends": ends, "items": items, "weights": weights}
        parts |= {"least": self._least}
        parts |= {"scale": np.array([self._scale]), "count": np.array([self._count])}
        return parts | {"decay": self._decay.array()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay = Decay.restored(arrays["decay"])
        ends, items, weights, scale = (arrays[name] for name in ("ends", "items", "weights", "scale"))
        if ends.dtype != np.int64 or items.dtype != np.int32 or weights.dtype != np.float32:
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
            raise ModelError(f"expected items from 0 to {self.n_items - 1}, got {items.min()}..{items.max()}")
        users, count = len(ends) - 1, arrays["count"]
        if count.shape != (1,) or count.dtype != np.int64 or count[0] < 1:
            raise ModelError(f"expected a count of neighbours int64 (1,) above 0, got {count!r:.100}")
        matrix = sparse.csr_array((weights, items, ends), shape=(users, self.n_items))
        self._keep(matrix, scale[0], int(count[0]))
        self._least = arrays["least"]
        shape = (users if self.config.neighbourhood == "inverted" else 0,)
        if self._least.shape != shape or self._least.dtype != np.float32 or not (self._least > 0).all():
            raise ModelError(f"expected least float32 {shape} above 0, got {self._least!r:.100}")


def _products(size: Size) -> float:
    """Return how many weights are multiplied to compare a user with all."""
    return SKEW * (size.pairs / max(1, size.users)) * (size.pairs / max(1, size.items))


def _trial_cost(config: UserKNNConfig, size: Size) -> Cost:
    """Return the cost of a training and its lists, with settings that learn nothing."""
    return UserKNN.cost(config, size) + Cost(min(USERS, size.users) * _products(size) / PRODUCTS, 0.0)


def _cheap(config: UserKNNConfig) -> UserKNNConfig:
    """Return the settings that learn the half-life: no decay, and the usual neighbours if learned."""
    count = NEIGHBOURS[0] if config.neighbours == "learned" else config.neighbours
    return config.model_copy(update={"half_life_days": None, "neighbours": count})
