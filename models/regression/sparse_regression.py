"""Regressions of each item on its nearest items alone: weights that take little room."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.csr import csr_arrays
from models.ranking.nearest import nearest_columns
from models.ranking.products import in_parts, sparse_product
from models.ranking.sparse_weights import SparseWeights
from models.ranking.topn import TopN
from models.recency.decay import Decay
from models.regression.penalty import PenaltyConfig, cost_of_learning, learn, mean_squares

FloatArray = npt.NDArray[np.float32]
OFTEN = 16.0  # the products of all items are held if single items would need each so often
LARGEST_GRAM = 256 * 2**20  # bytes of them
STARTING = 3e-3  # seconds
LEARNING_NEIGHBOURS = 100  # at most, of the models that settings are learned with


class SparseRegressionConfig(PenaltyConfig):
    """The configuration of a regression of each item on its nearest items."""

    neighbours: int = Field(
        default=100,
        ge=1,
        le=2_000,
        description="items, at most, that each item is predicted from: those that predict it best alone",
    )


class Penalties(NamedTuple):
    """The penalties of a regression: of squared weights, and of absolute ones if it is by coordinates."""

    ridge: float
    lasso: float = 0.0
    elastic: bool = False
    positive: bool = False


C = TypeVar("C", bound=SparseRegressionConfig)


class SparseRegression(Model[C]):
    """Scores are histories times sparse weights, which are the regression of each item on some others.

    These are the ``neighbours`` that, each alone, leave the least of the item unexplained. With
    G = X'X and the penalty l that is the most G_ij^2 / (G_jj + l) over j; only G_ij > 0 counts.
    Nothing is stored for other pairs: a score of 0 means that nothing speaks for the item, and such
    items are not recommended.
    """

    evidence_only = True

    @abstractmethod
    def _penalties(self, penalty: float, unit: float) -> Penalties:
        """Return the penalties, given that of the configuration or learned, and the mean square."""

    @classmethod
    @abstractmethod
    def _seconds(cls, neighbours: float) -> float:
        """Return what the regression of an item on so many neighbours is expected to take, in seconds."""

    @classmethod
    def cost(cls, config: C, size: Size) -> Cost:
        """Return the cost of finding neighbours, and of products and a regression for each item.

        An item has at most as many neighbours as there are products with it.
        """
        similar = min(size.products, float(size.items) ** 2)
        items = max(1, min(size.items, size.pairs))  # that have any users
        near = min(config.neighbours, similar / items)
        finding = 7e-10 * size.products + 3.4e-9 * similar + 6e-8 * size.pairs
        finding += STARTING + 3e-8 * size.items * config.neighbours
        memory, weights = 48.0 * size.pairs, 8.0 * items * near
        if needs_all(config.neighbours, size.items, size.products):
            products = 7e-10 * size.products + 1e-9 * items * near**2
            memory += 4.0 * size.items**2
        else:
            products = 4e-8 * near * size.pairs + 6e-9 * size.products * near**2 / items
        own = Cost(finding + products + items * cls._seconds(near), memory + 3 * weights, weights)
        return own + cost_of_learning(cls.cost, _quick(config), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        self._decay, penalty = learn(type(self), _quick(self.config), dataset, options)
        matrix = self._decay.scaled_dataset(dataset).matrix
        penalties = self._penalties(penalty, mean_squares(matrix))
        self._weights, unsolved = regressions(matrix, self.config.neighbours, penalties, options.workers)
        if unsolved and not penalties.elastic:
            raise ModelError(f"{unsolved} items have no solution in {self.name}: a larger penalty helps")
        self.report |= {"half_life_days": self._decay.days, "penalty": penalty}
        self.report |= {"weights": self._weights.matrix.nnz, "unsolved": unsolved}

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items with the largest weights in the regression of each of ``items``, above 0."""
        return self._weights.similar(items, n, self.eligible(allowed))

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the item of the history that adds most to each score."""
        return self._weights.reasons(items, self._decay.histories(histories).matrix)

    def _scores(self, histories: Histories) -> FloatArray:
        return self._weights.scores(self._decay.histories(histories).matrix, workers())

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"decay": self._decay.array(), **self._weights.arrays()}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay = Decay.restored(arrays["decay"])
        self._weights = SparseWeights.restored(arrays, self.n_items)


def _quick(config: C) -> C:
    """Return the settings to learn with: the time for products grows with the square of the neighbours."""
    return config.model_copy(update={"neighbours": min(config.neighbours, LEARNING_NEIGHBOURS)})


def regressions(
    matrix: sparse.csr_array, neighbours: int, penalties: Penalties, threads: int
) -> tuple[SparseWeights, int]:
    """Return the weights of each column of csr (n_users, n_items) on its nearest, and how many failed.

    Every item is solved by itself, in one order, so the weights do not depend on the threads.
    """
    from models.regression.sparse_kernel import regress

    n_users, n_items = matrix.shape
    neighbours = min(neighbours, max(1, n_items - 1))
    by_item = matrix.T.tocsr()
    squares = by_item.multiply(by_item).sum(axis=1)
    norms = np.sqrt(squares + penalties.ridge).astype(np.float32)
    top = nearest_columns(matrix, norms, neighbours, 0.0, threads)
    products = float(np.square(np.diff(matrix.indptr), dtype=np.float64).sum())
    gram = np.zeros((0, 0), np.float32)
    if needs_all(neighbours, n_items, products):
        gram = sparse_product(by_item, matrix, threads)
    sides, failed = csr_arrays(by_item), list[int]()
    strengths, signs = penalties[:2], penalties[2:]

    def solve(rows: slice) -> None:
        near, result = top.items[rows], top.scores[rows]
        failed.append(regress(rows.start, near, result, *sides, n_users, gram, *strengths, *signs))

    in_parts(solve, n_items, threads)
    return SparseWeights.of(top.items, top.scores), sum(failed)


def needs_all(neighbours: int, items: int, products: float) -> bool:
    """Tell whether the products of all items are held, or those of single items added up when needed.

    A pair of items is expected in ``neighbours`` / ``items`` squared of the regressions, and all of
    them have ``products``, the sum over users of their squared number of items.
    """
    needed = products * neighbours**2 / items
    return needed > OFTEN * items**2 and 4 * items**2 <= LARGEST_GRAM
