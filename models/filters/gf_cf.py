"""GF-CF: a linear low-pass filter and an ideal one, without training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse

from models.filters.dense_filter import DenseFilter, DenseFilterConfig, FloatArray, scaled
from models.filters.directions import directions_cost, leading_directions
from models.options import Cost, Size, TrainingOptions
from models.ranking.blas import one_blas_thread
from models.ranking.products import in_parts, sparse_product
from models.search_space import Range, Space


class GFCFConfig(DenseFilterConfig):
    """Configuration of GF-CF."""

    factors: int = Field(
        default=256, ge=1, le=4096, description="singular values that the ideal filter passes"
    )
    ideal: float = Field(default=0.3, ge=0, description="weight of the ideal filter beside the linear one")


class GFCF(DenseFilter[GFCFConfig]):
    """Filters a history by the graph of items that users share.

    score(u) = r_u (R~'R~ + a D^-1/2 V V' D^1/2) with R~ = U^-1/2 R D^-1/2, where U and D are the
    sums of the weights of users and items, and V the leading right singular vectors of R~ (Shen et
    al. 2021, "How Powerful is Graph Convolution for Recommendation?", GF-CF).
    """

    name = "gf_cf"
    Config = GFCFConfig
    space: ClassVar[Space] = {"factors": Range(16, 512, log=True), "ideal": Range(0.0, 1.0)}

    @classmethod
    def filter_cost(cls, config: GFCFConfig, size: Size) -> Cost:
        """Return the cost of the two filters."""
        return super().filter_cost(config, size) + directions_cost(config.factors, size)

    def _filter(self, matrix: sparse.csr_array, options: TrainingOptions) -> FloatArray:
        threads, spread = options.workers, scaled(matrix, -0.5, -0.5)
        weights = sparse_product(spread.T.tocsr(), spread, threads)
        if self.config.ideal:
            directions = leading_directions(spread, self.config.factors, options, self.name)
            sums = np.bincount(matrix.indices, matrix.data, minlength=matrix.shape[1])
            roots = np.sqrt(sums)[:, None].astype(np.float32)
            left, right = np.float32(self.config.ideal) * directions / roots, (directions * roots).T.copy()

            def add(rows: slice) -> None:
                weights[rows] += left[rows] @ right

            with one_blas_thread():
                in_parts(add, len(weights), threads)
        return weights
