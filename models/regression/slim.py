"""SLIM: each item is predicted from its nearest items by an elastic net."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from models.regression.penalty import SEARCHED
from models.regression.sparse_regression import Penalties, SparseRegression, SparseRegressionConfig
from models.search_space import Choice, Range, Space


class SLIMConfig(SparseRegressionConfig):
    """Configuration of SLIM."""

    sparsity: float = Field(
        default=0.01,
        ge=0,
        le=1e6,
        description="penalty of absolute weights, as a multiple of the mean over users of the sum of their "
        "squared weights, like penalty; the larger, the fewer weights are kept",
    )
    non_negative: bool = Field(
        default=True, description="only weights above 0, as in the paper: no item speaks against another"
    )


class SLIM(SparseRegression[SLIMConfig]):
    """Predicts each item from its nearest items, by weights of which most are 0.

    Ning, Karypis 2011, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", equation 3: column
    w_j minimises |x_j - X w_j|^2 / 2 + b |w_j|^2 / 2 + l |w_j|_1 with w_j >= 0 and w_jj = 0, here among
    the item's neighbours alone (their fsSLIM, section 4.3). Solved by coordinate descent on the
    products X'X of the neighbours (Friedman, Hastie, Tibshirani 2010, "Regularization Paths for
    Generalized Linear Models via Coordinate Descent", section 2.2, "covariance updates").

    b = penalty * s and l = sparsity * s for the mean s of the squared weights of a user
    (models.regression.penalty).
    """

    name = "slim"
    Config = SLIMConfig
    space: ClassVar[Space] = {
        "penalty": SEARCHED,
        "sparsity": Range(1e-4, 1.0, log=True),
        "neighbours": Range(25, 800, log=True),
        "non_negative": Choice((True, False)),
    }

    @classmethod
    def _seconds(cls, neighbours: float) -> float:
        return 1e-8 * neighbours**2

    def _penalties(self, penalty: float, unit: float) -> Penalties:
        config = self.config
        return Penalties(penalty * unit, config.sparsity * unit, elastic=True, positive=config.non_negative)
