"""The similarity of two ranked lists of a user: rank-biased overlap and common items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

Values = npt.NDArray[np.float64]
Lists = npt.NDArray[np.integer]
BLOCK_CELLS = 2**24  # pairs of ranks to compare at a time: 16 MiB


def agreements(first: Lists, second: Lists) -> npt.NDArray[np.int64]:
    """Return X_d, the number of common items in the first d ranks, int64 (n_users, k), d = 1..k.

    ``first`` and ``second`` (n_users, k): item indices by rank; negative numbers are padding and
    match nothing.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ModelError(f"expected two lists of equal length per user, got {first.shape} and {second.shape}")
    n_users, k = first.shape
    new_agreements = np.zeros((n_users, k), dtype=np.int64)
    depth = np.maximum.outer(np.arange(k), np.arange(k))  # from here on, both have the pair
    step = max(1, BLOCK_CELLS // max(k * k, 1))
    for start in range(0, n_users, step):
        first_block, second_block = first[start : start + step], second[start : start + step]
        same = (first_block[:, :, None] == second_block[:, None, :]) & (first_block[:, :, None] >= 0)
        user, rank, second_rank = np.nonzero(same)
        np.add.at(new_agreements, (start + user, depth[rank, second_rank]), 1)
    return np.cumsum(new_agreements, axis=1)


def rank_biased_overlap(overlaps: npt.NDArray[np.int64], p: float = 0.9) -> Values:
    """Extrapolated rank-biased overlap of equally long lists, float64 (n_users,), from 0 to 1.

    RBO_ext of Webber, Moffat and Zobel 2010, eq. 23: X_k / k * p^k + (1 - p) / p * sum over d =
    1..k of X_d / d * p^d. It assumes that ranks beyond k agree like the first k. (The truncated
    form leaves them out, so equal lists have 1 - p^k.) ``overlaps``: X_d, from ``agreements``. p:
    the probability that a reader continues to the next rank; with 0.9, the first 10 ranks have 86 %
    of the weight.
    """
    if not 0 < p < 1 or not overlaps.shape[1]:
        raise ModelError(f"expected 0 < p < 1 and lists of at least one item, got {p}, {overlaps.shape}")
    depths = np.arange(1, overlaps.shape[1] + 1)
    shares, weights = overlaps / depths, p**depths
    return np.asarray(shares[:, -1] * weights[-1] + (1 - p) / p * (shares @ weights))
