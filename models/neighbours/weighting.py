"""Weights of a matrix for similarities: the rows that are compared are documents of terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

Weighting = Literal["bm25", "tfidf", "none"]
Floats = npt.NDArray[np.float64]
K1, B = 1.2, 0.75  # Okapi's usual constants


@dataclass(frozen=True, eq=False)
class Weights:
    """New weights for the entries of a matrix (n_rows, n_terms), by the figures of the one it is made of.

    With idf(t) = ln(1 + m / rows with t), terms of many rows say little about each of them. m is
    the number of rows with a weight, so rows that are not trained on change nothing.

    - tfidf: sqrt(w) * idf(t);
    - bm25: w (K1 + 1) / (K1 (1 - B + B |r| / mean |r|) + w) * idf(t), where |r| is the sum of the
      weights of row r (Robertson and Walker 1994; the "1 +" in the logarithm keeps weights
      positive).

    ``idf`` float64 (n_terms,); ``length``: the mean |r|.
    """

    weighting: Weighting
    idf: Floats
    length: float

    @classmethod
    def of(cls, matrix: sparse.csr_array, weighting: Weighting) -> Weights:
        """Return the weights by the figures of a matrix csr (n_rows, n_terms)."""
        if weighting == "none":
            return cls(weighting, np.zeros(0), 1.0)
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        idf = np.log1p(int((np.diff(matrix.indptr) > 0).sum()) / np.maximum(counts, 1))
        lengths = _lengths(matrix)
        return cls(weighting, idf, float(lengths[lengths > 0].mean()) if len(matrix.data) else 1.0)

    def apply(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Return a matrix csr float32 (any rows, n_terms) with the new weights for its entries."""
        if self.weighting == "none":
            return matrix
        weights = matrix.data.astype(np.float64)
        if self.weighting == "tfidf":
            weights = np.sqrt(weights)
        else:
            length = np.repeat(1 - B + B * _lengths(matrix) / self.length, np.diff(matrix.indptr))
            weights = weights * (K1 + 1) / (K1 * length + weights)
        data = (weights * self.idf[matrix.indices]).astype(np.float32)
        return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _lengths(matrix: sparse.csr_array) -> Floats:
    """Return the sum of the weights of each row, added up in their order."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.asarray(np.bincount(row, matrix.data, minlength=matrix.shape[0]), dtype=np.float64)
