"""PureSVD: the truncated singular value decomposition of the user-item matrix."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import FLOPS, Cost, Size, TrainingOptions, workers
from models.ranking.blas import one_blas_thread
from models.ranking.products import dense_product
from models.ranking.similarity import similar_vectors
from models.ranking.topn import TopN
from models.recency.decay import Decay
from models.recency.learned import AgingConfig, decay_of, learned_choice, learning_cost
from models.search_space import Range, Space

FloatArray = npt.NDArray[np.float32]
FACTORS = (64, 16, 32, 128, 256)  # the candidates to learn from, the usual one first
MORE = 16  # factors that the iterations have beside those to keep, at least
ROUNDS = 6  # of the subspace iteration
SPEED = 5e9  # operations of a sparse product in a second
ROUNDING = 1e-6  # of the longest item vector
EPSILON = 1e-10  # of the largest squared singular value: what is less is rounding


class PureSVDConfig(AgingConfig):
    """Configuration of PureSVD."""

    factors: Annotated[int, Field(ge=1, le=4096)] | Literal["learned"] = Field(
        default="learned",
        description="singular values to keep; learned: 16 to 256, by the last 40 % of the training events",
    )


class PureSVD(Model[PureSVDConfig]):
    """Scores items by the projection of a history onto the leading item directions.

    score(u, i) = r_u V v_i for the leading right singular vectors V (n_items, factors) of the
    user-item matrix R, where pairs without an event are 0 (Cremonesi, Koren, Turrin 2010,
    "Performance of Recommender Algorithms on Top-N Recommendation Tasks", section 3.2.2, equation
    6). V comes from a block of random vectors that is multiplied by R'R and made orthonormal in
    turn (Halko, Martinsson, Tropp 2011, "Finding Structure with Randomness", algorithm 4.4).
    """

    name = "pure_svd"
    Config = PureSVDConfig
    space: ClassVar[Space] = {"factors": Range(8, 512, log=True)}

    @classmethod
    def cost(cls, config: PureSVDConfig, size: Size) -> Cost:
        """Return the cost of the products and of making the block orthonormal in each round."""
        width = min(_width(_most(config)), size.users, size.items)
        products = 4.0 * size.pairs * width * (ROUNDS + 0.5) / SPEED
        orthonormal = 4.0 * size.items * width**2 * ROUNDS / FLOPS
        memory = 40.0 * size.pairs + 4.0 * width * (2 * size.users + 3 * size.items)
        own = Cost(products + orthonormal + 5e-3, memory)
        choices = len(FACTORS) * (config.factors == "learned")
        return own + learning_cost(
            config.half_life_days, partial(cls.cost, _cheap(config)), size, choices=choices
        )

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        cheap = _cheap(self.config)
        self._decay = decay_of(self.config.half_life_days, dataset, lambda _: PureSVD(cheap), options)
        factors = self.config.factors
        if factors == "learned":
            models = [partial(PureSVD, cheap.model_copy(update={"factors": choice})) for choice in FACTORS]
            factors = FACTORS[learned_choice(dataset, models, self._decay, options)]
        self.report |= {"half_life_days": self._decay.days, "factors": factors}
        matrix = self._decay.dataset(dataset).matrix
        self._items = leading_directions(matrix, int(factors), options)

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


def leading_directions(matrix: sparse.csr_array, factors: int, options: TrainingOptions) -> FloatArray:
    """Return the leading right singular vectors of csr (n_users, n_items), float32 (n_items, factors).

    Directions beyond the rank of the matrix are 0. The bytes do not depend on the threads.
    """
    threads, by_item = options.workers, matrix.T.tocsr()
    known = np.diff(by_item.indptr) > 0
    width = min(_width(factors), int(known.sum()), int((np.diff(matrix.indptr) > 0).sum()))
    block = np.zeros((matrix.shape[1], width), dtype=np.float32)
    block[known] = np.random.default_rng(options.seed).standard_normal((int(known.sum()), width), np.float32)
    with one_blas_thread():
        for number in range(ROUNDS):
            block = np.linalg.qr(dense_product(by_item, dense_product(matrix, block, threads), threads))[0]
            options.report(PureSVD.name, number + 1, ROUNDS)
        image = dense_product(matrix, block, threads).astype(np.float64)
        squares, turns = np.linalg.eigh(image.T @ image)
        leading = np.argsort(-squares, kind="stable")[:factors]
        leading = leading[squares[leading] > EPSILON * squares.max()]
        directions = np.zeros((matrix.shape[1], factors), dtype=np.float32)
        directions[:, : len(leading)] = block @ turns[:, leading].astype(np.float32)
    lengths = np.linalg.norm(directions, axis=1)
    directions[lengths < ROUNDING * lengths.max()] = 0  # items without a part in any direction
    return directions


def _width(factors: int) -> int:
    """Return the columns of the block that finds so many directions."""
    return factors + max(MORE, factors // 4)


def _most(config: PureSVDConfig) -> int:
    return FACTORS[0] if config.factors == "learned" else config.factors


def _cheap(config: PureSVDConfig) -> PureSVDConfig:
    """Return the settings that learn the half-life: no decay, and the usual factors if learned."""
    return config.model_copy(update={"half_life_days": None, "factors": _most(config)})
