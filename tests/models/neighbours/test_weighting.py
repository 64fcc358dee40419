"""Weights for similarities, worked by hand."""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from models.contract.worlds import matrix
from models.neighbours.weighting import K1, B, Weights


def test_weights_worked_by_hand() -> None:
    rows = matrix([[4, 0], [1, 1], [0, 0]])
    idf = np.array([log(1 + 2 / 2), log(1 + 2 / 1)])  # of 2 rows with weights, 2 have term 0 and 1 has term 1
    np.testing.assert_allclose(
        Weights.of(rows, "tfidf").apply(rows).toarray(),
        [[sqrt(4) * idf[0], 0], [idf[0], idf[1]], [0, 0]],
        rtol=1e-6,
    )
    lengths = [1 - B + B * 4 / 3, 1 - B + B * 2 / 3]  # sums 4 and 2, mean 3
    bm25 = [4 * (K1 + 1) / (K1 * lengths[0] + 4), (K1 + 1) / (K1 * lengths[1] + 1)]
    np.testing.assert_allclose(
        Weights.of(rows, "bm25").apply(rows).toarray(),
        [[bm25[0] * idf[0], 0], [bm25[1] * idf[0], bm25[1] * idf[1]], [0, 0]],
        rtol=1e-6,
    )


def test_other_rows_are_weighted_by_the_same_figures() -> None:
    rows, other = matrix([[4, 0], [1, 1], [0, 0]]), matrix([[1, 0]])
    idf, length = log(1 + 2 / 2), 1 - B + B * 1 / 3
    weights = {"tfidf": idf, "bm25": (K1 + 1) / (K1 * length + 1) * idf, "none": 1.0}
    for weighting, expected in weights.items():
        got = Weights.of(rows, weighting).apply(other).toarray()  # type: ignore[arg-type]
        np.testing.assert_allclose(got, [[expected, 0]], rtol=1e-6)
