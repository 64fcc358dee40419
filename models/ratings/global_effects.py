"""Global effects: the mean rating with the deviations of users and items."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Cost, Size, TrainingOptions
from models.ratings.scale import Scale
from models.search_space import Space

Doubles = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]
ROUNDS = 20
LEAST_RATIO, MOST_RATIO = 1e-3, 1e6  # of the variances, where one of them is 0


class GlobalEffectsConfig(ModelConfig):
    """Configuration of the global effects."""

    user_damping: float | None = Field(
        default=None,
        ge=0,
        description="ratings of 0 that a user's bias has beside theirs; none: by variances",
    )
    item_damping: float | None = Field(
        default=None, ge=0, description="ratings of 0 that an item's bias has beside its; none: by variances"
    )


class GlobalEffects(Model[GlobalEffectsConfig]):
    """Predicts a rating as mean + bias of the user + bias of the item: the floor of rating models.

    b_i = sum over its n_i ratings of (r - mean - b_u) / (n_i + item_damping), and b_u likewise, in
    turn (Koren 2010, "Factor in the neighbors", section 2.1). Without a damping, it is the variance
    of the errors over that of the biases, which the rounds estimate, too: the posterior means of
    independent normal biases (Dempster, Laird, Rubin 1977, expectation maximisation).

    The list of a user is that of the largest item biases, so everybody's is the same: `personal` is
    False. A user's bias comes from the history.
    """

    name = "global_effects"
    Config = GlobalEffectsConfig
    space: ClassVar[Space] = {}
    personal = False

    @classmethod
    def cost(cls, config: GlobalEffectsConfig, size: Size) -> Cost:  # noqa: ARG003
        """Return the cost of the rounds."""
        return Cost(3e-8 * ROUNDS * size.pairs, 60.0 * size.pairs + 16.0 * (size.users + size.items))

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:  # noqa: ARG002
        matrix = dataset.matrix
        self._scale = Scale.of(self.name, matrix)
        user_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        item_of, rest = matrix.indices, matrix.data.astype(np.float64) - self._scale.mean
        users, items = _Biases(user_of, matrix.shape[0]), _Biases(item_of, matrix.shape[1])
        for _ in range(ROUNDS):
            items.solve(rest - users.values[user_of], self.config.item_damping)
            users.solve(rest - items.values[item_of], self.config.user_damping)
        self._damping, self._items = users.damping, items.values.astype(np.float32)
        self.report |= {"user_damping": users.damping, "item_damping": items.damping}

    def predict(
        self, histories: Histories, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]
    ) -> FloatArray:
        """Return the ratings float32 (n_pairs,) that some users would give to some items.

        ``users`` are rows of the histories, ``items`` their items, (n_pairs,) each. Predictions are
        within the range of the ratings in training.
        """
        return self._scale.clipped(self._levels(histories.matrix)[users] + self._items[items])

    def _levels(self, matrix: sparse.csr_array) -> Doubles:
        """Return the mean plus the bias of each user, float64 (n_users,)."""
        user_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        rest = matrix.data - self._scale.mean - self._items[matrix.indices]
        totals = np.bincount(user_of, rest, minlength=matrix.shape[0])
        return np.asarray(
            self._scale.mean + totals / (np.diff(matrix.indptr) + max(self._damping, LEAST_RATIO))
        )

    def _scores(self, histories: Histories) -> FloatArray:
        levels = self._levels(histories.matrix).astype(np.float32)
        return levels[:, None] + self._items

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        damping = np.array([self._damping])
        return {"item_biases": self._items, "scale": self._scale.array(), "user_damping": damping}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        biases, damping = arrays["item_biases"], arrays["user_damping"]
        if biases.shape != (self.n_items,) or biases.dtype != np.float32:
            raise ModelError(
                f"expected item_biases float32 ({self.n_items},), got {biases.dtype} {biases.shape}"
            )
        if damping.shape != (1,) or damping.dtype != np.float64 or not 0 <= damping[0] < np.inf:
            raise ModelError(
                f"expected a user_damping float64 (1,) of 0 or more, got {damping.dtype} {damping}"
            )
        self._scale = Scale.restored(arrays["scale"])
        self._items, self._damping = biases, float(damping[0])


class _Biases:
    """The biases of users, or of items, and their damping."""

    def __init__(self, row_of: npt.NDArray[np.integer], n: int) -> None:
        self._row_of, self._counts = row_of, np.bincount(row_of, minlength=n)
        self.values: Doubles = np.zeros(n)
        self.damping = 1.0

    def solve(self, rest: Doubles, damping: float | None) -> None:
        """Set the biases, given what the other side leaves of the ratings, and learn the damping."""
        known = self._counts > 0
        self.damping = self.damping if damping is None else damping
        totals = np.bincount(self._row_of, rest, minlength=len(self._counts))
        divisors = self._counts + max(self.damping, LEAST_RATIO)
        self.values = totals / divisors
        if damping is not None:
            return
        noise = float(np.mean((rest - self.values[self._row_of]) ** 2))
        spread = float(np.mean(self.values[known] ** 2 + noise / divisors[known]))
        self.damping = float(np.clip(noise / max(spread, 1e-300), LEAST_RATIO, MOST_RATIO))
