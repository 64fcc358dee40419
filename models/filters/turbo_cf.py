"""Turbo-CF: polynomial low-pass filters, without training and without a decomposition."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from models.filters.dense_filter import DenseFilter, DenseFilterConfig, FloatArray, scaled
from models.options import FLOPS, Cost, Size, TrainingOptions
from models.ranking.blas import one_blas_thread
from models.ranking.products import in_parts, sparse_product
from models.search_space import Choice, Range, Space


class TurboCFConfig(DenseFilterConfig):
    """Configuration of Turbo-CF."""

    alpha: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="weights are divided by the sum of their user's to this power, and by that of their "
        "item's to 1 less this power",
    )
    power: float = Field(default=1.0, gt=0, le=4, description="exponent of each similarity of two items")
    order: Literal[1, 2] = Field(default=1, description="1: the similarities P; 2: 2 P - P P")


class TurboCF(DenseFilter[TurboCFConfig]):
    """Filters a history by a polynomial of the similarities of items.

    score(u) = r_u f(P) with P = R~'R~ to the ``power``, element by element, and R~ = U^-alpha R
    D^(alpha - 1), where U and D are the sums of the weights of users and items; f(P) is P or 2 P -
    P P, which lets more high frequencies through (Park, Shin, Shin 2024, "Turbo-CF: Matrix
    Decomposition-Free Graph Filtering for Fast Recommendation", section 3).
    """

    name = "turbo_cf"
    Config = TurboCFConfig
    space: ClassVar[Space] = {"alpha": Range(0.2, 0.8), "power": Range(0.4, 2.0), "order": Choice((1, 2))}

    @classmethod
    def filter_cost(cls, config: TurboCFConfig, size: Size) -> Cost:
        """Return the cost of the similarities, and of their product with themselves."""
        own, weights = super().filter_cost(config, size), 4.0 * size.items**2
        return (
            own + Cost(2 * float(size.items) ** 3 / FLOPS, own.memory + weights) if config.order == 2 else own
        )

    def _filter(self, matrix: sparse.csr_array, options: TrainingOptions) -> FloatArray:
        threads, alpha = options.workers, self.config.alpha
        spread = scaled(matrix, -alpha, alpha - 1)
        weights = sparse_product(spread.T.tocsr(), spread, threads)
        if self.config.power != 1:
            np.power(weights, np.float32(self.config.power), out=weights)
        if self.config.order == 1:
            return weights
        second = np.empty_like(weights)

        def multiply(rows: slice) -> None:
            np.matmul(weights[rows], weights, out=second[rows])
            np.subtract(2 * weights[rows], second[rows], out=second[rows])

        with one_blas_thread():
            in_parts(multiply, len(weights), threads)
        return second
