"""The compiled part of the rating models (import it late: numba).

Ratings have mean 0 and variance 1 (models.ratings.scale). An epoch goes over the users in a given
order, and over the ratings of each user in a given order. It runs in one thread, since every step
depends on the one before; the order alone decides the bytes.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]


@compiled(
    "float64(int64[::1], int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1], "
    "float32[::1], float32[::1], float32, float32)",
    reorder=True,
)
def epoch(  # noqa: PLR0917
    order: Longs,
    indptr: Longs,
    items: Ints,
    ratings: Floats,
    user_factors: Floats,
    item_factors: Floats,
    user_biases: Floats,
    item_biases: Floats,
    rate: np.float32,
    penalty: np.float32,
) -> float:
    """Take a step for every rating of the users in ``order``; return the sum of squared errors.

    The steps are those of Koren, Bell, Volinsky 2009 for equation 5: with e = r - b_u - b_i - p'q,
    b_u += rate (e - penalty b_u), p += rate (e q - penalty p), and likewise b_i and q.
    """
    loss = 0.0
    for user in order:
        own, bias = user_factors[user], user_biases[user]
        for entry in range(indptr[user], indptr[user + 1]):
            item = items[entry]
            other = item_factors[item]
            product = np.float32(0)
            for f in range(len(own)):
                product += own[f] * other[f]
            error = ratings[entry] - bias - item_biases[item] - product
            loss += np.float64(error) * np.float64(error)
            bias += rate * (error - penalty * bias)
            item_biases[item] += rate * (error - penalty * item_biases[item])
            for f in range(len(own)):
                before, there = own[f], other[f]
                own[f] = before + rate * (error * there - penalty * before)
                other[f] = there + rate * (error * before - penalty * there)
        user_biases[user] = bias
    return loss


@compiled("void(int32[::1], float32[:, ::1], float32, float32[::1])", reorder=True)
def _add_up(items: Ints, implicit: Floats, weight: np.float32, total: Floats) -> None:
    """Write the sum of the vectors of some items, times ``weight``, to ``total`` (d,)."""
    total[:] = 0
    for item in items:
        vector = implicit[item]
        for f in range(len(total)):
            total[f] += weight * vector[f]


@compiled("void(int32[::1], float32[:, ::1], float32, float32, float32[::1])", reorder=True)
def _move(items: Ints, implicit: Floats, kept: np.float32, taken: np.float32, steps: Floats) -> None:
    """Turn the vector y of each of some items into kept y + taken ``steps``."""
    for item in items:
        vector = implicit[item]
        for f in range(len(steps)):
            vector[f] = kept * vector[f] + taken * steps[f]


@compiled(
    "float64(int64[::1], int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1], "
    "float32[::1], float32[::1], float32[:, ::1], float32, float32)",
    reorder=True,
)
def implicit_epoch(  # noqa: PLR0917
    order: Longs,
    indptr: Longs,
    items: Ints,
    ratings: Floats,
    user_factors: Floats,
    item_factors: Floats,
    user_biases: Floats,
    item_biases: Floats,
    implicit: Floats,
    rate: np.float32,
    penalty: np.float32,
) -> float:
    """Take the steps of SVD++ (Koren 2008, section 4.1): p plus the mean of the ``implicit`` vectors.

    The sum s of a user's implicit vectors y, over the root of their number, is kept while the
    user's ratings are gone through. The steps of y are summed and taken after the last of them, so
    that an epoch costs two passes over a history and not one for each rating.
    """
    loss, width = 0.0, user_factors.shape[1]
    shown, steps = np.empty(width, np.float32), np.empty(width, np.float32)
    for user in order:
        start, stop = indptr[user], indptr[user + 1]
        if start == stop:
            continue
        own, bias = user_factors[user], user_biases[user]
        weight = np.float32(1 / np.sqrt(stop - start))
        _add_up(items[start:stop], implicit, weight, shown)
        steps[:] = 0
        for entry in range(start, stop):
            item = items[entry]
            other = item_factors[item]
            product = np.float32(0)
            for f in range(width):
                product += (own[f] + shown[f]) * other[f]
            error = ratings[entry] - bias - item_biases[item] - product
            loss += np.float64(error) * np.float64(error)
            bias += rate * (error - penalty * bias)
            item_biases[item] += rate * (error - penalty * item_biases[item])
            for f in range(width):
                before, there = own[f], other[f]
                steps[f] += error * there
                own[f] = before + rate * (error * there - penalty * before)
                other[f] = there + rate * (error * (before + shown[f]) - penalty * there)
        user_biases[user] = bias
        _move(items[start:stop], implicit, np.float32(1) - rate * penalty, rate * weight, steps)
    return loss


@compiled(
    "void(int64, int64, int64[::1], int32[::1], float32[::1], float32[:, ::1], float32[:, ::1], "
    "float32[::1], float64, float32[:, ::1])"
)
def fold_in_rows(  # noqa: PLR0917
    start: int,
    stop: int,
    indptr: Longs,
    items: Ints,
    ratings: Floats,
    shown: Floats,
    item_factors: Floats,
    item_biases: Floats,
    penalty: float,
    solved: Floats,
) -> None:
    """Write factors and bias of users ``start`` to ``stop`` to ``solved`` (n_users, d + 1), given the items.

    They minimise the sum over a user's n ratings of (r - b_i - s'q - b - p'q)^2 + n penalty (b^2 +
    |p|^2), where s is the user's row of ``shown`` (n_users, d), or 0 if that has no rows.
    """
    width = item_factors.shape[1] + 1
    for user in range(start, stop):
        low, high = indptr[user], indptr[user + 1]
        solved[user] = 0
        if low == high:
            continue
        known = np.ones((high - low, width), np.float32)
        rest = np.empty(high - low, np.float32)
        for entry in range(low, high):
            item = items[entry]
            known[entry - low, : width - 1] = item_factors[item]
            rest[entry - low] = ratings[entry] - item_biases[item]
            if len(shown):
                rest[entry - low] -= np.dot(shown[user], item_factors[item])
        matrix = np.dot(known.T, known)
        for f in range(width):
            matrix[f, f] += np.float32(penalty * (high - low))
        solved[user] = np.linalg.solve(matrix, np.dot(known.T, rest))


@compiled(
    "void(int64[::1], int64[::1], float32[:, ::1], float32[::1], float32[:, ::1], float32[::1], "
    "float32[::1])",
    reorder=True,
)
def predict_pairs(  # noqa: PLR0917
    users: Longs,
    items: Longs,
    user_factors: Floats,
    user_biases: Floats,
    item_factors: Floats,
    item_biases: Floats,
    predictions: Floats,
) -> None:
    """Write b_u + b_i + x'q of each pair (``users[k]``, ``items[k]``) to ``predictions`` (n_pairs,)."""
    for pair in range(len(users)):
        own, other = user_factors[users[pair]], item_factors[items[pair]]
        product = np.float32(0)
        for f in range(len(own)):
            product += own[f] * other[f]
        predictions[pair] = user_biases[users[pair]] + item_biases[items[pair]] + product
