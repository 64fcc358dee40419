"""The compiled regressions of single items on some others (import it late: numba)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Doubles: TypeAlias = npt.NDArray[np.float64]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]
SWEEPS = 500  # at most, over the weights of an item
TOLERANCE = 1e-4  # of the largest weight: what no weight of the last sweep changes by


@compiled("void(int32[::1], float32[:, ::1], float64[:, ::1])")
def _take_products(members: Ints, gram: Floats, products: Doubles) -> None:
    """Write the products of some items among each other, out of those of all."""
    for a in range(len(members)):
        for b in range(len(members)):
            products[a, b] = gram[members[a], members[b]]


@compiled("int64(int32[::1], int64[::1], int32[::1], int32[::1], int64[::1])")
def _meet_users(members: Ints, ends: Longs, users: Ints, places: Ints, starts: Longs) -> int:
    """Give each user of the members a place, in the order in which they are met; return how many.

    ``places`` int32 (n_users,) has -1 for all others; ``starts``, which is 0, gets the number of
    entries of the users before each place.
    """
    met = 0
    for item in members:
        for user in users[ends[item] : ends[item + 1]]:
            if places[user] < 0:
                places[user] = met
                met += 1
            starts[places[user] + 1] += 1
    for place in range(met):
        starts[place + 1] += starts[place]
    return met


@compiled("void(int32[::1], int64[::1], int32[::1], float32[::1], int32[::1], float64[:, ::1])")
def _add_products(  # noqa: PLR0917
    members: Ints, ends: Longs, users: Ints, weights: Floats, places: Ints, products: Doubles
) -> None:
    """Write the products of some items among each other, from the users of each of them.

    Item i has ``users[ends[i]:ends[i + 1]]`` with their ``weights``. ``places`` int32 (n_users,) is
    -1 everywhere, before and afterwards.
    """
    entries = 0
    for item in members:
        entries += ends[item + 1] - ends[item]
    starts = np.zeros(entries + 1, np.int64)
    met = _meet_users(members, ends, users, places, starts)
    filled = starts[:met].copy()
    numbers, values = np.empty(entries, np.int32), np.empty(entries, np.float64)
    for number, item in enumerate(members):
        for entry in range(ends[item], ends[item + 1]):
            place = places[users[entry]]
            numbers[filled[place]] = number
            values[filled[place]] = weights[entry]
            filled[place] += 1
    products[:] = 0
    for place in range(met):
        for a in range(starts[place], starts[place + 1]):
            row = products[numbers[a]]
            for b in range(starts[place], a + 1):
                row[numbers[b]] += values[a] * values[b]
    for a in range(len(members)):
        products[:a, a] = products[a, :a]
    for item in members:
        places[users[ends[item] : ends[item + 1]]] = -1


@compiled("boolean(float64[:, ::1], float64, float64[::1])", reorder=True)
def _ridge(products: Doubles, ridge: float, weights: Doubles) -> bool:
    """Solve (A + ridge I) w = b by Cholesky's method; A and b are ``products`` without and of the last.

    The factor replaces the lower half. False if the matrix is not positive definite.
    """
    last = len(products) - 1
    for i in range(len(products)):
        row = products[i]
        for j in range(min(i, last)):
            other, rest = products[j], row[j]
            for k in range(j):
                rest -= row[k] * other[k]
            row[j] = rest / other[j]
        if i < last:
            rest = row[i] + ridge
            for k in range(i):
                rest -= row[k] * row[k]
            if not rest > 0:
                return False
            row[i] = np.sqrt(rest)
    solved = products[last]
    for i in range(last - 1, -1, -1):
        weights[i] = solved[i] / products[i, i]
        for k in range(i):
            solved[k] -= products[i, k] * weights[i]
    return True


@compiled("boolean(float64[:, ::1], float64, float64, boolean, float64[::1])", reorder=True)
def _elastic(products: Doubles, ridge: float, lasso: float, positive: bool, weights: Doubles) -> bool:
    """Minimise |b - A w|^2 / 2 + ridge |w|^2 / 2 + lasso |w|_1 in the columns' products, by coordinates.

    A and b are the columns whose ``products`` are given, b is the last. False if the weights still
    change after ``SWEEPS``.
    """
    last = len(products) - 1
    left = products[last, :last].copy()  # the products of each column with what is not explained
    weights[:] = 0
    for _ in range(SWEEPS):
        change, largest = 0.0, 0.0
        for i in range(last):
            before, own = weights[i], products[i, i]
            reach = left[i] + own * before
            after = 0.0
            if reach > lasso:
                after = (reach - lasso) / (own + ridge)
            elif reach < -lasso and not positive:
                after = (reach + lasso) / (own + ridge)
            largest = max(largest, abs(after))
            if after != before:
                step, row = after - before, products[i]
                weights[i] = after
                change = max(change, abs(step))
                for k in range(last):
                    left[k] -= step * row[k]
        if change <= TOLERANCE * largest:
            return True
    return False


@compiled(
    "int64(int64, int32[:, ::1], float32[:, ::1], int64[::1], int32[::1], float32[::1], int64, "
    "float32[:, ::1], float64, float64, boolean, boolean)"
)
def regress(  # noqa: PLR0917
    start: int,
    near: Ints,
    result: Floats,
    ends: Longs,
    users: Ints,
    weights: Floats,
    n_users: int,
    gram: Floats,
    ridge: float,
    lasso: float,
    elastic: bool,
    positive: bool,
) -> int:
    """Write the weights of item ``start`` and of those after it on their nearest items.

    ``near`` and ``result`` (n, neighbours), padded with -1 and overwritten. Item i has
    ``users[ends[i]:ends[i + 1]]`` of ``n_users`` with their ``weights``. ``gram`` are the products
    of all items among each other, or empty. ``elastic``: by coordinates, with ``lasso`` and
    ``positive``; else in closed form. Returns how many items have no solution.
    """
    places = np.full(n_users if len(gram) == 0 else 0, -1, np.int32)
    failed = 0
    for row in range(len(near)):
        count = 0
        while count < near.shape[1] and near[row, count] >= 0:
            count += 1
        result[row] = 0
        if count == 0:
            continue
        members = np.empty(count + 1, np.int32)
        members[:count] = near[row, :count]
        members[count] = start + row
        products, solution = np.empty((count + 1, count + 1)), np.empty(count)
        if len(gram) > 0:
            _take_products(members, gram, products)
        else:
            _add_products(members, ends, users, weights, places, products)
        if elastic:
            solved = _elastic(products, ridge, lasso, positive, solution)
        else:
            solved = _ridge(products, ridge, solution)
        failed += int(not solved)
        for number in range(count):
            result[row, number] = solution[number]
    return failed
