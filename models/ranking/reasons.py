"""Why an item was recommended: the item of the user's history that is most like it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.compiled import compiled
from models.ranking.similarity import units_of

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
LONGEST = 200  # items of a history that are compared, the heaviest first


def reasons(items: Ints, histories: sparse.csr_array, vectors: Floats) -> Ints:
    """Return for each recommended item the item of its user's history with the largest cosine.

    Parameters
    ----------
    items
        int32 (n_users, n), padded with -1.
    histories
        csr float32 (n_users, n_items): the weights; of long histories the heaviest items are compared.
    vectors
        float32 (n_items, d): the model's item vectors.

    Returns
    -------
    int32 (n_users, n)
        -1 where there is no history or no item alike (cosine above 0); the smaller index of equals.
    """
    result = np.full(items.shape, -1, dtype=np.int32)
    indptr, indices = histories.indptr.astype(np.int64), histories.indices.astype(np.int32)
    weights = histories.data.astype(np.float32)
    _reasons(np.ascontiguousarray(items), indptr, indices, weights, units_of(vectors), result)
    return result


@compiled("int64(int32[::1], float32[::1], float32[:, ::1], float32[:, ::1], int32[::1])")
def _gather(history: Ints, weights: Floats, units: Floats, columns: Floats, compared: Ints) -> int:
    """Write the vectors of a history's heaviest items as columns, and the items in ascending order."""
    count = min(len(history), LONGEST)
    if count == len(history):
        compared[:count] = history
    else:
        compared[:count] = np.sort(history[np.argsort(-weights, kind="mergesort")[:count]])
    for place in range(count):
        columns[:, place] = units[compared[place]]
    return count


@compiled("void(int32[:, ::1], int64[::1], int32[::1], float32[::1], float32[:, ::1], int32[:, ::1])")
def _reasons(  # noqa: PLR0917
    items: Ints, indptr: Longs, indices: Ints, weights: Floats, units: Floats, result: Ints
) -> None:
    """Sum over the factors outside and the history inside: each cosine in one order, many at a time."""
    columns = np.empty((units.shape[1], LONGEST), np.float32)
    compared = np.empty(LONGEST, np.int32)
    cosines = np.empty(LONGEST, np.float32)
    for user in range(items.shape[0]):
        own = slice(indptr[user], indptr[user + 1])
        count = _gather(indices[own], weights[own], units, columns, compared)
        for place in range(items.shape[1]):
            item = items[user, place]
            if item < 0:
                continue
            cosines[:count] = 0
            for k in range(units.shape[1]):
                factor = units[item, k]
                for other in range(count):
                    cosines[other] += factor * columns[k, other]
            best = np.float32(0)
            for other in range(count):
                if cosines[other] > best and compared[other] != item:
                    best = cosines[other]
                    result[user, place] = compared[other]
