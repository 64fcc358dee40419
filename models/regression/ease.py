"""EASE: each item is predicted from the others by a linear regression in closed form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.evaluation.window import USERS
from models.options import Cost, Size, TrainingOptions, workers
from models.ranking.blas import one_blas_thread
from models.ranking.products import dense_product, in_parts, sparse_product
from models.ranking.similarity import self_exclusions
from models.ranking.topn import TopN, top_n, top_n_factors
from models.recency.decay import Decay
from models.recency.learned import PAIRS
from models.regression.inverse import invert_lower, multiply_by_transpose
from models.regression.penalty import SEARCHED, PenaltyConfig, cost_of_learning, learn, mean_squares
from models.search_space import Space

FloatArray = npt.NDArray[np.float32]
LEARNING_RANK = 1000  # users or items in each training that settings are learned with, whichever are fewer
STARTING = 3e-3  # seconds
SPEED = 1e11  # operations of an inverse in a second, on two cores


class EASEConfig(PenaltyConfig):
    """Configuration of EASE."""

    largest: int = Field(
        default=16_384,
        ge=1,
        description="items, or users if these are fewer, beyond which it is not trained: with twice as many, "
        "an inverse takes eight times as long, and a model four times the space",
    )


class EASE(Model[EASEConfig]):
    """Predicts each item of a history from the others, by weights in closed form.

    Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", section 3.1:
    score(u, j) = sum over the items i of u's history of x_ui B_ij, where B minimises
    |X - XB|^2 + l |B|^2 with a diagonal of zeros: B_ij = -P_ij / P_jj for P = (X'X + l I)^-1.

    l = penalty * sum of the squared weights / users (models.regression.penalty).

    With fewer users than items the same B comes from the users' side: P = (I - V'V) / l with
    V = L^-1 X, where LL' = XX' + l I. What is inverted is then as large as the users are many, and V
    is what is stored.
    """

    name = "ease"
    Config = EASEConfig
    space: ClassVar[Space] = {"penalty": SEARCHED}

    def __init__(self, config: EASEConfig | None = None) -> None:
        super().__init__(config)
        self._weights: FloatArray | None = None

    @classmethod
    def cost(cls, config: EASEConfig, size: Size) -> Cost:
        """Return the cost of the inverse, of a matrix as large as the users or items are many."""
        rank, by_items = float(min(size.users, size.items)), size.items <= size.users
        weights, inverse = 4.0 * rank * size.items, 4.0 * rank**2
        products = size.products if by_items else 0.5 * rank * size.pairs
        seconds = STARTING + rank**3 / SPEED + 1e-9 * products + 2e-8 * size.pairs
        if not by_items:  # scores are products, too
            seconds += 2 * USERS * rank * size.items / SPEED
        memory = 40.0 * size.pairs + (inverse if by_items else weights + inverse)
        own = Cost(seconds, memory, weights, _refusal(config, size.users, size.items))
        return own + cost_of_learning(cls.cost, config, size, _learning_pairs(size))

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        size = Size(int((np.diff(dataset.matrix.indptr) > 0).sum()), dataset.n_items, dataset.matrix.nnz)
        self._decay, penalty = learn(EASE, self.config, dataset, options, _learning_pairs(size))
        self.report |= {"half_life_days": self._decay.days, "penalty": penalty}
        self._solve(self._decay.scaled_dataset(dataset).matrix, penalty, options.workers)

    def _solve(self, matrix: sparse.csr_array, penalty: float, threads: int) -> None:
        """Compute B, or V, of the trained items from the weights csr (n_users, n_items)."""
        matrix = self._trained(matrix[np.diff(matrix.indptr) > 0])
        ridge = penalty * mean_squares(matrix)
        if refusal := _refusal(self.config, *matrix.shape):
            raise ModelError(f"ease is left out: {refusal}")
        _require_room(*matrix.shape)
        from_items = matrix.shape[1] <= matrix.shape[0]
        sides = (matrix.T.tocsr(), matrix) if from_items else (matrix, matrix.T.tocsr())
        gram = sparse_product(*sides, threads)
        gram[np.diag_indices(len(gram))] += np.float32(ridge)
        invert_lower(gram, threads)
        if from_items:
            multiply_by_transpose(gram, threads)
            gram /= -gram.diagonal()
            gram[np.diag_indices(len(gram))] = 0
            self._weights = gram
        else:
            gram[np.triu_indices(len(gram), 1)] = 0
            # (L^-1 X)' = X' L^-T
            vectors = dense_product(sides[1], np.ascontiguousarray(gram.T), threads)
            self._keep_vectors(vectors, np.square(vectors, dtype=np.float64).sum(axis=1))

    def _keep_vectors(self, vectors: FloatArray, leverages: npt.NDArray[np.float64]) -> None:
        """Store V' (n_items, n_users) and its squared lengths (n_items,), of the trained items.

        B_ij = v_i'v_j / (1 - |v_j|^2) off the diagonal.
        """
        self._weights, self._vectors, self._leverages = None, vectors, leverages
        left = (1 - leverages)[:, None]
        self._targets = np.ascontiguousarray((vectors / left).astype(np.float32).T)
        self._own = (leverages / left[:, 0]).astype(np.float32)

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the items with the highest partial correlation, -P_ij / sqrt(P_ii P_jj), above 0."""
        columns = np.flatnonzero(self.trained_items)
        known = np.flatnonzero(self.trained_items[items])
        near = self._correlated(
            np.searchsorted(columns, items[known]), n, self.eligible(allowed)[self.trained_items]
        )
        top = TopN.empty(len(items), n)
        top.items[known] = np.where(near.items < 0, -1, columns[near.items])
        top.scores[known] = near.scores
        return top

    def _correlated(self, items: npt.NDArray[np.integer], n: int, allowed: npt.NDArray[np.bool_]) -> TopN:
        """Return similar items by their numbers among the trained ones."""
        itself = self_exclusions(items, len(allowed))
        if self._weights is None:
            units = (self._vectors.T / np.sqrt(1 - self._leverages)).T.astype(np.float32)
            return top_n_factors(units[items], units, n, exclude=itself, allowed=allowed, above=0.0)
        there, back = self._weights[items], self._weights[:, items].T
        scores = np.ascontiguousarray(np.sqrt(np.maximum(there * back, 0)) * (there > 0))
        return top_n(scores, n, exclude=itself, allowed=allowed, above=0.0, overwrite=True)

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the item of the history that adds most to each score."""
        from models.ranking.reasons import largest_reasons

        matrix = self._trained(self._decay.histories(histories).matrix)
        columns = np.flatnonzero(self.trained_items)
        numbers = np.full(self.n_items + 1, -1, dtype=np.int32)  # the last one for a padded item
        numbers[columns] = np.arange(len(columns))
        wanted = numbers[items]
        if self._weights is not None:
            found = largest_reasons(wanted, matrix, self._weights)
        else:
            found = self._reasons_by_vectors(wanted, matrix)
        return np.where(found < 0, -1, columns[found]).astype(np.int32)

    def _reasons_by_vectors(
        self, items: npt.NDArray[np.int32], matrix: sparse.csr_array
    ) -> npt.NDArray[np.int32]:
        """Return reasons by V, as numbers of trained items; user by user, since there are few."""
        found = np.full(items.shape, -1, dtype=np.int32)
        for user, (start, stop) in enumerate(pairwise(matrix.indptr)):
            history = matrix.indices[start:stop]
            if stop > start:
                added = matrix.data[start:stop, None] * (
                    self._vectors[history] @ self._targets[:, items[user]]
                )
                added[history[:, None] == items[user]] = 0
                best = added.argmax(axis=0)
                speaks = (items[user] >= 0) & (added[best, np.arange(len(best))] > 0)
                found[user] = np.where(speaks, history[best], -1)
        return found

    def _scores(self, histories: Histories) -> FloatArray:
        matrix, threads = self._trained(self._decay.histories(histories).matrix), workers()
        if self._weights is None:
            scores = self._by_vectors(matrix, threads)
        else:
            scores = dense_product(matrix, self._weights, threads)
        if scores.shape[1] == self.n_items:
            return scores
        full = np.zeros((len(scores), self.n_items), dtype=np.float32)
        full[:, self.trained_items] = scores
        return full

    def _by_vectors(self, matrix: sparse.csr_array, threads: int) -> FloatArray:
        """Return the scores of the trained items by V."""
        users = dense_product(matrix, self._vectors, threads)
        scores = np.empty(matrix.shape, dtype=np.float32)

        def multiply(rows: slice) -> None:
            np.matmul(users[rows], self._targets, out=scores[rows])

        with one_blas_thread():
            in_parts(multiply, len(scores), threads)
        row = np.repeat(np.arange(len(scores)), np.diff(matrix.indptr))
        scores[row, matrix.indices] -= matrix.data * self._own[matrix.indices]
        return scores

    def _trained(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Return the columns of the trained items."""
        return matrix if self.trained_items.all() else matrix[:, np.flatnonzero(self.trained_items)]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        decay = {"decay": self._decay.array()}
        if self._weights is not None:
            return decay | {"weights": self._weights}
        return decay | {"vectors": self._vectors, "leverages": self._leverages}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._decay, n = Decay.restored(arrays["decay"]), int(self.trained_items.sum())
        if "weights" in arrays:
            self._weights = arrays["weights"]
            if self._weights.shape != (n, n) or self._weights.dtype != np.float32:
                raise ModelError(
                    f"expected weights float32 {(n, n)}, got {self._weights.dtype} {self._weights.shape}"
                )
            return
        vectors, leverages = arrays["vectors"], arrays["leverages"]
        if vectors.ndim != 2 or len(vectors) != n or vectors.dtype != np.float32:
            raise ModelError(f"expected vectors float32 ({n}, users), got {vectors.dtype} {vectors.shape}")
        if leverages.shape != (n,) or leverages.dtype != np.float64 or not (leverages < 1).all():
            raise ModelError(f"expected leverages float64 ({n},) below 1, got {leverages!r:.100}")
        self._keep_vectors(vectors, leverages)


def _learning_pairs(size: Size) -> int:
    """Return with how many pairs to learn settings, so that no training inverts a large matrix."""
    if size.items <= LEARNING_RANK:
        return PAIRS
    return min(PAIRS, max(1, LEARNING_RANK * size.pairs // max(1, size.users)))


def _refusal(config: EASEConfig, users: int, items: int) -> str:
    """Return why a matrix is too large, in users and items; empty if it is not."""
    if min(users, items) <= config.largest:
        return ""
    return f"{items:,} items and {users:,} users are more than models.ease.largest, {config.largest:,}"


def _require_room(users: int, items: int) -> None:
    """Raise ModelError if the machine has not the memory for the matrix to invert."""
    import psutil

    need = 4.0 * (items**2 if items <= users else users**2 + 2.0 * users * items)
    free = psutil.virtual_memory().available
    if need > free:
        raise ModelError(
            f"ease of {items:,} items and {users:,} users needs {need / 2**30:,.1f} GiB at once; expected "
            f"at most {free / 2**30:,.1f} GiB, which are free: fewer items, or another model"
        )
