"""Sampled metrics: one held-out item ranked among negatives that a protocol gives.

Only where the negatives come with the data (He et al. 2017): figures depend on which negatives were drawn,
and order models otherwise than full ranking does (Krichene and Rendle 2020). Never to be compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

Values = npt.NDArray[np.float64]
Ties = Literal["pessimistic", "expected"]


def sampled_values(
    scores: npt.NDArray[np.float32], ks: tuple[int, ...], ties: Ties = "pessimistic"
) -> dict[tuple[str, int], Values]:
    """Return hit_rate and ndcg at each k, float64 (n_users,).

    ``scores`` (n_users, 1 + m): the positive's first, then those of its m negatives. With r the rank of the
    positive: hit_rate@k = 1 when r <= k; ndcg@k = 1 / log2(r + 1) when r <= k, the ideal being 1 (He et al.
    2017, sec. 4.1). ``pessimistic``: the positive is behind every negative with its score, so that a model
    which says the same of all items gets nothing; ``expected``: the mean over all orders of the tied items.
    """
    better, equal = _counts(scores)
    found: dict[tuple[str, int], Values] = {}
    for k in ks:
        if not 1 <= k <= scores.shape[1]:
            raise ModelError(f"expected k from 1 to the {scores.shape[1]} items of a user, got {k}")
        for name, gain in GAINS.items():
            gains = np.where(np.arange(1, scores.shape[1] + 1) <= k, gain(scores.shape[1]), 0.0)
            if ties == "pessimistic":
                found[name, k] = gains[better + equal]
            else:
                before = np.concatenate(([0.0], np.cumsum(gains)))
                found[name, k] = (before[better + equal + 1] - before[better]) / (equal + 1)
    return found


def _hit(n: int) -> Values:
    """1 at every rank."""
    return np.ones(n)


def _ndcg(n: int) -> Values:
    """1 / log2(r + 1) at rank r."""
    return 1 / np.log2(np.arange(2, n + 2))


GAINS: Mapping[str, Callable[[int], Values]] = {"hit_rate": _hit, "ndcg": _ndcg}


def _counts(scores: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many negatives score above the positive, and how many the same."""
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ModelError(f"expected the scores of a positive and of negatives, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ModelError("expected finite scores, got others")
    return (scores[:, 1:] > scores[:, :1]).sum(axis=1), (scores[:, 1:] == scores[:, :1]).sum(axis=1)
