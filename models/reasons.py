"""Why an item was recommended: the item of the user's history that is most like it."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

LONGEST = 200  # items of a history that are compared, the heaviest first


def reasons(
    items: npt.NDArray[np.int32], histories: sparse.csr_array, vectors: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
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
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    result = np.full(items.shape, -1, dtype=np.int32)
    _reasons(
        items, histories.indptr.astype(np.int64), histories.indices.astype(np.int32), histories.data, units, result, LONGEST
    )
    return result


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _reasons(items, indptr, indices, weights, units, result, longest):  # type: ignore[no-untyped-def]
    for user in range(items.shape[0]):
        start, stop = indptr[user], indptr[user + 1]
        history = indices[start:stop]
        if stop - start > longest:
            heaviest = np.argsort(-weights[start:stop], kind="mergesort")[:longest]
            history = np.sort(history[heaviest])
        for place in range(items.shape[1]):
            item = items[user, place]
            if item < 0:
                continue
            best = np.float32(0)
            for other in history:
                if other == item:
                    continue
                cosine = np.float32(0)
                for k in range(units.shape[1]):
                    cosine += units[item, k] * units[other, k]
                if cosine > best:
                    best = cosine
                    result[user, place] = other
