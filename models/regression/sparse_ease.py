"""Sparse EASE: each item is predicted from its nearest items by a linear regression in closed form."""

from __future__ import annotations

from typing import ClassVar

from models.regression.penalty import SEARCHED
from models.regression.sparse_regression import Penalties, SparseRegression, SparseRegressionConfig
from models.search_space import Range, Space


class SparseEASEConfig(SparseRegressionConfig):
    """Configuration of sparse EASE."""


class SparseEASE(SparseRegression[SparseEASEConfig]):
    """EASE for large catalogues: predicts each item from its nearest items alone.

    score(u, j) = sum over the items i of u's history of x_ui B_ij. Column j of B minimises
    |x_j - X B_j|^2 + l |B_j|^2 among those that are 0 outside the item's neighbours D, which j is
    not one of: with the rows and columns of j and D alone, C = (G + l I)^-1 of G = X'X, and
    B_ij = -C_ij / C_jj (Steck 2019, "Markov Random Fields for Collaborative Filtering", section 3.2,
    with r = 0: each item has its own inverse). With all other items as neighbours, that is EASE.

    A sparse approximate inverse of X'X + l I is also what SANSA has (Spisak et al. 2023, "Scalable
    Approximate NonSymmetric Autoencoder for Collaborative Filtering", section 3), by an incomplete
    factor of the whole matrix. Here each column is exact on its pattern, by a Cholesky factor of
    its own, and nothing of the size of X'X is held.

    l = penalty * sum of the squared weights / users, as for EASE (models.regression.penalty).
    """

    name = "sparse_ease"
    Config = SparseEASEConfig
    space: ClassVar[Space] = {"penalty": SEARCHED, "neighbours": Range(25, 400, log=True)}

    @classmethod
    def _seconds(cls, neighbours: float) -> float:
        return 1e-10 * neighbours**3

    def _penalties(self, penalty: float, unit: float) -> Penalties:
        return Penalties(penalty * unit)
