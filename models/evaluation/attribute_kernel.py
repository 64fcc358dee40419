"""The compiled pairwise distances by attributes (import it late)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


@compiled("float64(int32[::1], int32[::1])")
def _jaccard(one: Ints, other: Ints) -> float:
    """Return 1 - |one and other| / |one or other| of two ascending rows; 1 when both are empty."""
    i, j, both = 0, 0, 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            both += 1
            i += 1
            j += 1
        elif one[i] < other[j]:
            i += 1
        else:
            j += 1
    either = len(one) + len(other) - both
    return 1.0 - both / either if either > 0 else 1.0


@compiled("void(int32[:, ::1], int64[::1], int32[::1], float64[::1])")
def jaccard_rows(items: Ints, indptr: Longs, attributes: Ints, result: npt.NDArray[np.float64]) -> None:
    """Fill in the mean distance over the pairs of each row's items; rows without a pair stay."""
    n_users, k = items.shape
    for user in range(n_users):
        total, pairs = 0.0, 0
        for a in range(k):
            one = items[user, a]
            if one < 0:
                continue
            left = attributes[indptr[one] : indptr[one + 1]]
            for b in range(a + 1, k):
                other = items[user, b]
                if other >= 0:
                    total += _jaccard(left, attributes[indptr[other] : indptr[other + 1]])
                    pairs += 1
        if pairs > 0:
            result[user] = total / pairs
