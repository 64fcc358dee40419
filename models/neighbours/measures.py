"""Measures of how similar rows of a matrix are, and the neighbours by them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from models.errors import ModelError
from models.neighbours.weighting import Weighting, Weights
from models.ranking.nearest import Search
from models.ranking.topn import TopN
from models.recency.learned import AgingConfig

FloatArray = npt.NDArray[np.float32]
Measure = Literal["cosine", "asymmetric", "jaccard", "pearson", "adjusted"]


class MeasuredConfig(AgingConfig):
    """How similar two rows are."""

    weighting: Weighting = Field(default="bm25", description="weights of what is compared")
    similarity: Measure = Field(
        default="cosine",
        description="cosine; asymmetric: the cosine with asymmetry; jaccard: what two have in common by "
        "what either has (Tanimoto's, with weights); pearson: the cosine of weights less the mean of each "
        "of the two; adjusted: less the mean weight of what they have in common. The last two are for "
        "ratings",
    )
    asymmetry: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the asymmetric cosine: share of the exponents that falls on the one whose neighbours "
        "are sought; 0.5 is the cosine",
    )
    shrink: float = Field(
        default=100.0, ge=0, description="added to the denominator; penalises what has few events"
    )


@dataclass(frozen=True, eq=False)
class Compared:
    """Rows of a matrix (n_rows, n_terms) as they are compared, and by which figures.

    With w the weighted rows, a and b two of them, p = <a, b>, and shrink s:

    - cosine: p / (|a| |b| + s); the same for pearson and adjusted, whose weights are less the mean
      of their row, or of their term;
    - asymmetric: p / (|a|^(2 t) |b|^(2 (1 - t)) + s) with asymmetry t (Aiolli 2013, "Efficient
      top-N recommendation for very large scale binary rated datasets", equation 3);
    - jaccard: p / (|a|^2 + |b|^2 - p + s).

    The measures follow Ferrari Dacrema et al. 2021, "A Troubling Analysis of Reproducibility and
    Progress in Recommender Systems Research", section 5.2 and appendix.
    """

    config: MeasuredConfig
    weights: Weights
    means: npt.NDArray[np.float64]
    rows: sparse.csr_array

    @classmethod
    def of(cls, matrix: sparse.csr_array, config: MeasuredConfig) -> Compared:
        """Return rows csr (n_rows, n_terms), which may have neighbours among each other.

        Raises
        ------
        ModelError
            If all weights are equal to their means, which the measure takes away.
        """
        weights = Weights.of(matrix, config.weighting)
        weighted = weights.apply(matrix)
        sums = np.bincount(weighted.indices, weighted.data, minlength=matrix.shape[1])
        means = sums / np.maximum(np.bincount(weighted.indices, minlength=matrix.shape[1]), 1)
        rows = _less_means(weighted, config.similarity, means)
        if len(rows.data) and not rows.data.any():
            raise ModelError(
                f"expected weights that differ, such as ratings, for similarity = {config.similarity!r}, got "
                "none: use cosine"
            )
        return cls(config, weights, means, rows)

    def as_compared(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Return rows csr (any, n_terms) with the weights that are compared."""
        return _less_means(self.weights.apply(matrix), self.config.similarity, self.means)

    @cached_property
    def search(self) -> Search:
        """The rows, to search for the neighbours of others."""
        norms = self.norms(self.rows, sought=True)
        return Search(self.rows.T.tocsr(), norms, self.config.shrink, self.overlap)

    @property
    def overlap(self) -> bool:
        """Whether what two have in common is compared with what either has."""
        return self.config.similarity == "jaccard"

    def norms(self, rows: sparse.csr_array, *, sought: bool) -> FloatArray:
        """Return what a similarity is divided by, float32 (any,), of rows as ``as_compared`` returns.

        ``sought``: of rows among which neighbours are sought, not of those whose neighbours are.
        """
        own = self.config.asymmetry if self.config.similarity == "asymmetric" else 0.5
        exponent = 2.0 if self.overlap else 2 * (1 - own) if sought else 2 * own
        squares = rows.multiply(rows).sum(axis=1)
        if exponent == 1.0:
            return np.asarray(np.sqrt(squares), np.float32)
        return np.asarray(np.asarray(squares, np.float64) ** (exponent / 2), np.float32)

    def nearest_others(self, n: int, threads: int) -> TopN:
        """Return the ``n`` nearest others of each of the rows."""
        return self.search.nearest(self.rows, self.norms(self.rows, sought=False), n, threads, itself=True)


def _less_means(rows: sparse.csr_array, measure: Measure, means: npt.NDArray[np.float64]) -> sparse.csr_array:
    """Return weighted rows less what the measure takes away; ``means`` float64 (n_terms,)."""
    if measure not in {"pearson", "adjusted"}:
        return rows
    counts = np.diff(rows.indptr)
    if measure == "adjusted":
        less = means[rows.indices]
    else:
        row = np.repeat(np.arange(rows.shape[0]), counts)
        less = (np.bincount(row, rows.data, minlength=rows.shape[0]) / np.maximum(counts, 1))[row]
    data = (rows.data - less).astype(np.float32)
    data[np.abs(data) < 1e-6 * np.abs(less)] = 0  # rounding
    return sparse.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
