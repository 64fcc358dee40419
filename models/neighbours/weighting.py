"""Weights of a user-item matrix for similarities: items are documents, users are terms."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import sparse

Weighting = Literal["bm25", "tfidf", "none"]
K1, B = 1.2, 0.75  # Okapi's usual constants


def weighted(matrix: sparse.csr_array, weighting: Weighting) -> sparse.csr_array:
    """Return the matrix float32 (n_users, n_items) with new weights for the same entries.

    With idf(u) = ln(1 + m / items of u), users with many items say little about each of them. m is
    the number of items with a weight, so items that are not trained on change nothing.

    - tfidf: sqrt(w) * idf(u);
    - bm25: w (K1 + 1) / (K1 (1 - B + B |i| / mean |i|) + w) * idf(u), where |i| is the sum of the
      weights of item i (Robertson and Walker 1994; the "1 +" in the logarithm keeps weights
      positive).
    """
    if weighting == "none":
        return matrix
    n_items = matrix.shape[1]
    counts = np.diff(matrix.indptr)
    idf = np.log1p(len(np.unique(matrix.indices)) / np.maximum(counts, 1))
    weights = matrix.data.astype(np.float64)
    if weighting == "tfidf":
        weights = np.sqrt(weights)
    else:
        lengths = np.bincount(matrix.indices, weights, minlength=n_items)
        length = 1 - B + B * lengths / lengths[lengths > 0].mean()
        weights = weights * (K1 + 1) / (K1 * length[matrix.indices] + weights)
    data = (weights * np.repeat(idf, counts)).astype(np.float32)
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
