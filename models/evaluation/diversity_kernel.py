"""Compiled distances between the items of a list (import it late: numba)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@compiled("float64(int32[::1], int32[::1])")
def _jaccard(first: Ints, second: Ints) -> float:
    """Return 1 - |intersection| / |union| of two ascending rows; 1 if both are empty."""
    i, j, both = 0, 0, 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            both += 1
            i += 1
            j += 1
        elif first[i] < second[j]:
            i += 1
        else:
            j += 1
    either = len(first) + len(second) - both
    return 1.0 - both / either if either > 0 else 1.0


@compiled("void(int32[:, ::1], int64[::1], int32[::1], float64[::1])")
def jaccard_rows(items: Ints, indptr: Longs, attributes: Ints, result: Doubles) -> None:
    """Write the mean distance over all pairs of a row's items; rows without pairs are unchanged."""
    n_users, k = items.shape
    for user in range(n_users):
        total, pairs = 0.0, 0
        for a in range(k):
            item = items[user, a]
            if item < 0:
                continue
            item_attributes = attributes[indptr[item] : indptr[item + 1]]
            for b in range(a + 1, k):
                second = items[user, b]
                if second >= 0:
                    total += _jaccard(item_attributes, attributes[indptr[second] : indptr[second + 1]])
                    pairs += 1
        if pairs > 0:
            result[user] = total / pairs


@compiled("void(int32[:, ::1], int64[::1], int32[::1], float64[::1], float64[::1], float64[::1])")
def cosine_rows(  # noqa: PLR0917
    items: Ints, indptr: Longs, indices: Ints, units: Doubles, total: Doubles, result: Doubles
) -> None:
    """Write the mean of 1 - cosine over all pairs of a row's items; other rows are unchanged.

    An item's vector, of length 1 or zero, is ``units[indptr[item]:indptr[item + 1]]`` at
    ``indices``. ``total`` (d,), initially 0, is scratch for the sum of the vectors so far; its
    product with the next vector is the sum of the cosines of all pairs between them.
    """
    n_users, k = items.shape
    for user in range(n_users):
        cosines, size = 0.0, 0
        for rank in range(k):
            item = items[user, rank]
            if item < 0:
                continue
            for entry in range(indptr[item], indptr[item + 1]):
                cosines += total[indices[entry]] * units[entry]
                total[indices[entry]] += units[entry]
            size += 1
        if size > 1:
            pairs = size * (size - 1) / 2
            result[user] = (pairs - cosines) / pairs
        for rank in range(k):
            item = items[user, rank]
            if item >= 0:
                for entry in range(indptr[item], indptr[item + 1]):
                    total[indices[entry]] = 0.0
