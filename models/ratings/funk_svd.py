"""Funk SVD: biased matrix factorisation of ratings by stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.blas import one_blas_thread
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.ratings.descent import Descent, learn, train
from models.ratings.factors import ItemSide, UserSide, fold_in, predicted
from models.ratings.scale import Scale
from models.search_space import Range, Space

FloatArray = npt.NDArray[np.float32]
USUAL_EPOCHS = 40  # that are learned, for the expected cost


class FunkSVDConfig(ModelConfig):
    """Configuration of Funk SVD.

    The learning rate and the penalty are for ratings of mean 0 and variance 1, to which all ratings
    are brought: they mean the same for stars and percents.
    """

    factors: int = Field(default=64, ge=1, le=4096, description="length of the user and item vectors")
    learning_rate: float = Field(
        default=0.01, gt=0, le=1, description="step of gradient descent; halved if the training diverges"
    )
    regularization: float = Field(
        default=0.05, gt=0, description="penalty of each rating on the squares of its biases and vectors"
    )
    epochs: Annotated[int, Field(ge=1)] | Literal["learned"] = Field(
        default="learned",
        description="passes over the ratings; learned: those with the least error on a held-out tenth",
    )


class FunkSVD(Model[FunkSVDConfig]):
    """Predicts a rating as mean + bias of the user + bias of the item + product of their vectors.

    Minimises the sum over ratings of (r - mean - b_u - b_i - p_u'q_i)^2 + regularization (b_u^2 +
    b_i^2 + |p_u|^2 + |q_i|^2) by stochastic gradient descent (Funk 2006, "Netflix Update: Try This
    at Home"; Koren, Bell, Volinsky 2009, "Matrix factorization techniques for recommender systems",
    equations 4 and 5). The weights of the data set are the ratings, and have to differ.

    A user, known or new, is folded in: b_u and p_u solve the same least squares problem exactly for
    the items as trained. Its penalty is chosen on held-out ratings.

    Lists are ordered by expected rating. That is no order of what people take next: it favours
    items that few have rated highly, and knows nothing of those that nobody rates.
    """

    name = "funk_svd"
    Config = FunkSVDConfig
    space: ClassVar[Space] = {
        "factors": Range(16, 256, log=True),
        "learning_rate": Range(0.002, 0.03, log=True),
        "regularization": Range(0.01, 0.2, log=True),
    }
    implicit: ClassVar[bool] = False

    @classmethod
    def cost(cls, config: FunkSVDConfig, size: Size) -> Cost:
        """Return the cost of the epochs, twice where their number is learned."""
        learned = config.epochs == "learned"
        epochs = 2 * USUAL_EPOCHS if learned else int(config.epochs)
        seconds = epochs * size.pairs * (1e-8 + 7e-10 * config.factors) * (1 + cls.implicit)
        vectors = 4.0 * config.factors * (size.users * 3 + size.items * (2 + cls.implicit) * 2)
        return Cost(seconds, 60.0 * size.pairs + vectors)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        config = self.config
        scale = Scale.of(self.name, dataset.matrix)
        ratings = _rescaled(dataset.matrix, scale)
        descent = Descent(
            config.factors,
            config.learning_rate,
            config.regularization,
            options.seed,
            options.workers,
            implicit=self.implicit,
        )

        def report(number: int, most: int, error: float) -> None:
            options.report(self.name, number, most, rmse=error * scale.deviation)

        epochs, penalty = config.epochs, config.regularization
        if epochs == "learned":
            learned = learn(ratings, descent, report)
            epochs, penalty = learned.epochs, learned.fold_in
            self.report["held_out_rmse"] = learned.error * scale.deviation
        self.report |= {"epochs": epochs, "fold_in_penalty": penalty}
        self._keep(scale, penalty, train(ratings, descent, int(epochs), report))

    def predict(
        self, histories: Histories, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]
    ) -> FloatArray:
        """Return the ratings float32 (n_pairs,) that some users would give to some items.

        ``users`` are rows of the histories, ``items`` their items, (n_pairs,) each. Predictions are
        within the range of the ratings in training.
        """
        folded, scale = self._folded(histories), self._scale
        rest = predicted(folded, self._items, users.astype(np.int64), items.astype(np.int64))
        return scale.clipped(scale.mean + scale.deviation * rest.astype(np.float64))

    def vectors(self, histories: Histories) -> FloatArray:
        """Return [scaled factors, mean with the bias, 1] of each user, float32 (n_users, d + 2)."""
        users, scale = self._folded(histories), self._scale
        level = np.float32(scale.mean) + np.float32(scale.deviation) * users.biases
        ones = np.ones(len(level), dtype=np.float32)
        return np.column_stack((np.float32(scale.deviation) * users.factors, level, ones))

    def item_vectors(self) -> FloatArray:
        """Return [factors, 1, scaled bias] of each item, float32 (n_items, d + 2)."""
        return self._wide

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the most similar item that the user rated at least as high as their mean."""
        from models.ranking.reasons import nearest_reasons

        matrix = histories.matrix
        counts = np.diff(matrix.indptr)
        user_of = np.repeat(np.arange(len(counts)), counts)
        totals = np.bincount(user_of, matrix.data.astype(np.float64), minlength=len(counts))
        means = (totals / np.maximum(counts, 1)).astype(np.float32)
        liked = matrix.data >= means[user_of]
        indptr = np.concatenate(([0], np.cumsum(np.bincount(user_of[liked], minlength=len(counts)))))
        kept = sparse.csr_array((matrix.data[liked], matrix.indices[liked], indptr), shape=matrix.shape)
        return nearest_reasons(items, kept, self._items.factors)

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items whose vectors have the largest cosines above 0 with ``items``."""
        return similar_vectors(self._items.factors, items, n, self.eligible(allowed))

    def _scores(self, histories: Histories) -> FloatArray:
        with one_blas_thread():
            return np.asarray(self.vectors(histories) @ self._wide.T)

    def _folded(self, histories: Histories) -> UserSide:
        return fold_in(_rescaled(histories.matrix, self._scale), self._items, self._penalty, workers())

    def _keep(self, scale: Scale, penalty: float, items: ItemSide) -> None:
        self._scale, self._penalty, self._items = scale, penalty, items
        ones = np.ones(self.n_items, dtype=np.float32)
        self._wide = np.column_stack((items.factors, ones, np.float32(scale.deviation) * items.biases))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {"scale": self._scale.array(), "penalty": np.array([self._penalty])}
        arrays |= {"item_factors": self._items.factors, "item_biases": self._items.biases}
        return arrays | ({"implicit": self._items.implicit} if self.implicit else {})

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        shapes = {"item_factors": (self.n_items, self.config.factors), "item_biases": (self.n_items,)}
        shapes |= {"implicit": shapes["item_factors"]} if self.implicit else {}
        for key, shape in shapes.items():
            if arrays[key].shape != shape or arrays[key].dtype != np.float32:
                raise ModelError(
                    f"expected {key} float32 {shape}, got {arrays[key].dtype} {arrays[key].shape}"
                )
        penalty = arrays["penalty"]
        if penalty.shape != (1,) or penalty.dtype != np.float64 or not 0 < penalty[0] < np.inf:
            raise ModelError(f"expected a penalty float64 (1,) above 0, got {penalty.dtype} {penalty}")
        none = np.zeros((0, self.config.factors), dtype=np.float32)
        items = ItemSide(arrays["item_factors"], arrays["item_biases"], arrays.get("implicit", none))
        self._keep(Scale.restored(arrays["scale"]), float(penalty[0]), items)


def _rescaled(matrix: sparse.csr_array, scale: Scale) -> sparse.csr_array:
    """Return the ratings with mean 0 and variance 1; a rating at the mean stays an entry."""
    parts = (scale.standardised(matrix.data), matrix.indices, matrix.indptr)
    return sparse.csr_array(parts, shape=matrix.shape)
