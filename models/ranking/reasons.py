"""The reason for a recommendation: the item of the user's history that speaks most for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.compiled import compiled
from models.ranking.csr import csr_arrays
from models.ranking.similarity import unit_vectors

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
LONGEST = 200  # items of a history to compare, those of the largest weights


def nearest_reasons(items: Ints, histories: sparse.csr_array, vectors: Floats) -> Ints:
    """Return for each recommended item the most similar item in the user's history, by cosine.

    Parameters
    ----------
    items
        int32 (n_users, n), padded with -1.
    histories
        csr float32 (n_users, n_items): weights; in long histories, only the heaviest items are
        compared.
    vectors
        float32 (n_items, d): the model's item vectors.

    Returns
    -------
    int32 (n_users, n)
        -1 without a history or a similar item (cosine above 0); ties go to the smaller index.
    """
    result = np.full(items.shape, -1, dtype=np.int32)
    _reasons(np.ascontiguousarray(items), *csr_arrays(histories), unit_vectors(vectors), result)
    return result


def largest_reasons(items: Ints, histories: sparse.csr_array, weights: sparse.csr_array | Floats) -> Ints:
    """Return for each recommended item the item of the user's history that adds most to its score.

    Parameters
    ----------
    items
        int32 (n_users, n), padded with -1.
    histories
        csr float32 (n_users, n_items): the weights that the model sums.
    weights
        (n_items, n_items), csr or float32: what an item of a history (the row) adds to the score of
        another (the column) by its weight.

    Returns
    -------
    int32 (n_users, n)
        -1 if no item adds more than 0; ties go to the smaller index.
    """
    result = np.full(items.shape, -1, dtype=np.int32)
    known = (np.ascontiguousarray(items), *csr_arrays(histories))
    if isinstance(weights, np.ndarray):
        _largest_dense(*known, weights, result)
    else:
        _largest_sparse(*known, *csr_arrays(weights), result)
    return result


@compiled("void(int32[:, ::1], int64[::1], int32[::1], float32[::1], float32[:, ::1], int32[:, ::1])")
def _largest_dense(  # noqa: PLR0917
    items: Ints, indptr: Longs, indices: Ints, data: Floats, weights: Floats, result: Ints
) -> None:
    for user in range(items.shape[0]):
        for rank in range(items.shape[1]):
            item, most = items[user, rank], np.float32(0)
            if item < 0:
                continue
            for entry in range(indptr[user], indptr[user + 1]):
                added = data[entry] * weights[indices[entry], item]
                if added > most and indices[entry] != item:
                    most = added
                    result[user, rank] = indices[entry]


@compiled(
    "void(int32[:, ::1], int64[::1], int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], "
    "int32[:, ::1])"
)
def _largest_sparse(  # noqa: PLR0917
    items: Ints,
    indptr: Longs,
    indices: Ints,
    data: Floats,
    weight_ends: Longs,
    weight_items: Ints,
    weights: Floats,
    result: Ints,
) -> None:
    ranks = np.full(len(weight_ends) - 1, -1, np.int32)  # of each item in the user's list
    most = np.empty(items.shape[1], np.float32)
    for user in range(items.shape[0]):
        most[:] = 0
        for rank in range(items.shape[1]):
            if items[user, rank] >= 0:
                ranks[items[user, rank]] = rank
        for entry in range(indptr[user], indptr[user + 1]):
            near = indices[entry]
            for place in range(weight_ends[near], weight_ends[near + 1]):
                rank, added = ranks[weight_items[place]], data[entry] * weights[place]
                if rank >= 0 and added > most[rank] and weight_items[place] != near:
                    most[rank] = added
                    result[user, rank] = near
        for rank in range(items.shape[1]):
            if items[user, rank] >= 0:
                ranks[items[user, rank]] = -1


@compiled("int64(int32[::1], float32[::1], float32[:, ::1], float32[:, ::1], int32[::1])")
def _gather(history: Ints, weights: Floats, units: Floats, columns: Floats, compared: Ints) -> int:
    """Write a history's heaviest items in ascending order, and their vectors as columns."""
    count = min(len(history), LONGEST)
    if count == len(history):
        compared[:count] = history
    else:
        compared[:count] = np.sort(history[np.argsort(-weights, kind="mergesort")[:count]])
    for index in range(count):
        columns[:, index] = units[compared[index]]
    return count


@compiled("void(int32[:, ::1], int64[::1], int32[::1], float32[::1], float32[:, ::1], int32[:, ::1])")
def _reasons(  # noqa: PLR0917
    items: Ints, indptr: Longs, indices: Ints, weights: Floats, units: Floats, result: Ints
) -> None:
    """Loop over factors, then over the history: each cosine is summed in one order."""
    columns = np.empty((units.shape[1], LONGEST), np.float32)
    compared = np.empty(LONGEST, np.int32)
    cosines = np.empty(LONGEST, np.float32)
    for user in range(items.shape[0]):
        entries = slice(indptr[user], indptr[user + 1])
        count = _gather(indices[entries], weights[entries], units, columns, compared)
        for rank in range(items.shape[1]):
            item = items[user, rank]
            if item < 0:
                continue
            cosines[:count] = 0
            for k in range(units.shape[1]):
                factor = units[item, k]
                for index in range(count):
                    cosines[index] += factor * columns[k, index]
            best = np.float32(0)
            for index in range(count):
                if cosines[index] > best and compared[index] != item:
                    best = cosines[index]
                    result[user, rank] = compared[index]
