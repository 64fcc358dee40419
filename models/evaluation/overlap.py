"""How alike two ranked lists of the same user are: rank-biased overlap, and how many items they share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

Values = npt.NDArray[np.float64]
Lists = npt.NDArray[np.integer]
BLOCK_CELLS = 2**24  # pairs of ranks that are compared at a time: 16 MiB


def agreements(one: Lists, other: Lists) -> npt.NDArray[np.int64]:
    """Return X_d, the items that both lists have in their first d, int64 (n_users, k) for d = 1..k.

    ``one`` and ``other`` (n_users, k): items by rank, numbered alike; a negative number is no item and
    agrees with none.
    """
    if one.ndim != 2 or one.shape != other.shape:
        raise ModelError(f"expected two lists of equal length a user, got {one.shape} and {other.shape}")
    n_users, k = one.shape
    found = np.zeros((n_users, k), dtype=np.int64)
    depth = np.maximum.outer(np.arange(k), np.arange(k))  # the rank from which both have the pair
    step = max(1, BLOCK_CELLS // max(k * k, 1))
    for start in range(0, n_users, step):
        left, right = one[start : start + step], other[start : start + step]
        same = (left[:, :, None] == right[:, None, :]) & (left[:, :, None] >= 0)
        user, at, to = np.nonzero(same)
        np.add.at(found, (start + user, depth[at, to]), 1)
    return np.cumsum(found, axis=1)


def rank_biased_overlap(overlaps: npt.NDArray[np.int64], p: float = 0.9) -> Values:
    """Extrapolated rank-biased overlap of lists of equal length, float64 (n_users,): 0 disjoint, 1 equal.

    RBO_ext of Webber, Moffat and Zobel 2010, eq. 23: X_k / k * p^k + (1 - p) / p * sum over d = 1..k of
    X_d / d * p^d; what is beyond rank k is taken to agree as the first k do. (The truncated form would leave
    it out, so that equal lists had 1 - p^k.) ``overlaps``: X_d, as of ``agreements``; p: how likely a reader
    is to go on to the next rank, so that with 0.9 the first 10 ranks carry 86 % of the weight.
    """
    if not 0 < p < 1 or not overlaps.shape[1]:
        raise ModelError(f"expected 0 < p < 1 and lists of at least one item, got {p}, {overlaps.shape}")
    depths = np.arange(1, overlaps.shape[1] + 1)
    shares, weights = overlaps / depths, p**depths
    return np.asarray(shares[:, -1] * weights[-1] + (1 - p) / p * (shares @ weights))
