"""The compiled part of neighbours: products of sparse rows and their largest (import it late: numba)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Longs: TypeAlias = npt.NDArray[np.int64]
Keys: TypeAlias = npt.NDArray[np.uint64]
ROOM = 4  # times the neighbours to keep: so many of the nearest so far, before they are sorted out


@compiled("uint64(float32, int64)")
def _key(similarity: np.float32, row: int) -> np.uint64:
    """Return an integer that is larger for a higher similarity above 0, then for a lower row."""
    bits = np.uint64(np.float32(similarity).view(np.uint32))
    return (bits << np.uint64(32)) | np.uint64(0xFFFFFFFF - row)


@compiled("int64(int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], float32[::1], int32[::1])")
def _add_products(  # noqa: PLR0917
    columns: Ints,
    weights: Floats,
    column_ends: Longs,
    rows: Ints,
    row_weights: Floats,
    products: Floats,
    touched: Ints,
) -> int:
    """Add a row's products with all rows to ``products``, which is 0; return how many to look at.

    These are written to ``touched``, which is one longer than ``products``; each with a product
    above 0 is among them, and all others are 0 afterwards or among them. One may be there twice.
    """
    total, count = 0, 0
    for column in columns:
        total += column_ends[column + 1] - column_ends[column]
    if total > len(products):  # looking for the touched rows afterwards is faster
        for i, column in enumerate(columns):
            for entry in range(column_ends[column], column_ends[column + 1]):
                products[rows[entry]] += weights[i] * row_weights[entry]
        for near in range(len(products)):
            touched[count] = near
            count += int(products[near] > 0)
            products[near] = max(products[near], np.float32(0))
        return count
    for i, column in enumerate(columns):
        for entry in range(column_ends[column], column_ends[column + 1]):
            near = rows[entry]
            before = products[near]
            products[near] = before + weights[i] * row_weights[entry]
            touched[count] = near
            count += int(before == 0)
    return count


@compiled("float32(float32, float32, float32, float32, boolean)")
def _similarity(
    product: np.float32, norm: np.float32, other: np.float32, shrink: np.float32, overlap: bool
) -> np.float32:
    """Return the similarity of two rows, given their product, which is above 0."""
    if overlap:
        return np.float32(product / (norm + other - product + shrink))
    return np.float32(product / (norm * other + shrink))


@compiled("void(uint64[::1], int32[::1], float32[::1])")
def _write_largest(keys: Keys, nearest: Ints, similarities: Floats) -> None:
    """Write the rows and similarities of the largest keys, the largest first, as many as there are."""
    kept = min(len(nearest), len(keys))
    largest = np.partition(keys, len(keys) - kept)[len(keys) - kept :] if kept < len(keys) else keys
    ranked = np.sort(largest)
    for rank in range(kept):
        key = ranked[kept - 1 - rank]
        nearest[rank] = np.int32(0xFFFFFFFF - (key & np.uint64(0xFFFFFFFF)))
        similarities[rank] = np.uint32(key >> np.uint64(32)).view(np.float32)


@compiled(
    "void(int64[::1], int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], float32[::1], "
    "float32[::1], float32, boolean, int64, int64, int32[:, ::1], float32[:, ::1])"
)
def nearest_rows(  # noqa: PLR0917
    ends: Longs,
    columns: Ints,
    weights: Floats,
    column_ends: Longs,
    rows: Ints,
    row_weights: Floats,
    own_norms: Floats,
    norms: Floats,
    shrink: np.float32,
    overlap: bool,
    start: int,
    itself: int,
    nearest: Ints,
    similarities: Floats,
) -> None:
    """Write the rows nearest to row ``start`` of a matrix and to those after it, the best first.

    Row i has ``columns[ends[i]:ends[i + 1]]`` with their weights; the rows among which neighbours
    are sought are given by their columns in the same way. Row i is number ``itself`` + i among
    them, where it is left out; ``itself`` may be so far below 0 that no row is. A similarity is
    product / (own norm * norm + shrink), or with ``overlap`` product / (own norm + norm - product +
    shrink); those above 0 count. ``own_norms`` float32 (n_rows,), ``norms`` float32 (n_others,).
    ``nearest`` and ``similarities`` (n, neighbours) are padded already. Products are added up in
    the order of the columns: they do not depend on the rows of a call.
    """
    products = np.zeros(len(norms), dtype=np.float32)
    touched = np.empty(len(norms) + 1, dtype=np.int32)
    most = nearest.shape[1]
    keys = np.empty(min(len(norms) + 1, ROOM * most), dtype=np.uint64)
    for row in range(len(nearest)):
        own = slice(ends[start + row], ends[start + row + 1])
        count = _add_products(columns[own], weights[own], column_ends, rows, row_weights, products, touched)
        near, least, norm = 0, np.uint64(0), own_norms[start + row]
        for other in touched[:count]:
            product = products[other]
            products[other] = 0
            if product <= 0:
                continue
            similarity = _similarity(product, norm, norms[other], shrink, overlap)
            key = _key(similarity, other)
            keys[near] = key
            near += int(similarity > 0) & int(other != itself + start + row) & int(key > least)
            if near == ROOM * most:  # what is not among the nearest so far need not be kept
                keys[:most] = np.partition(keys, near - most)[near - most :]
                near, least = most, keys[0]
        _write_largest(keys[:near], nearest[row], similarities[row])


@compiled("void(int64[::1], int32[::1], float32[::1], int64, float32, float32[::1], float32[::1])")
def _add_row(  # noqa: PLR0917
    ends: Longs,
    items: Ints,
    weights: Floats,
    row: int,
    similarity: np.float32,
    total: Floats,
    sums: Floats,
) -> None:
    """Add a row's weights times a similarity to ``total``, and the similarity to ``sums``, if not empty."""
    for entry in range(ends[row], ends[row + 1]):
        total[items[entry]] += similarity * weights[entry]
        if len(sums):
            sums[items[entry]] += similarity


@compiled("void(float32[::1], float32[::1], float64)")
def _divide(total: Floats, sums: Floats, power: float) -> None:
    """Divide by a power of the sums, and set these to 0."""
    for item in range(len(sums)):
        if sums[item] > 0:
            total[item] /= np.float32(sums[item] ** power)
            sums[item] = 0


@compiled(
    "void(int32[:, ::1], float32[:, ::1], int64[::1], int32[::1], float32[::1], float64, int64, "
    "float32[:, ::1])"
)
def add_neighbours(  # noqa: PLR0917
    nearest: Ints,
    similarities: Floats,
    ends: Longs,
    items: Ints,
    weights: Floats,
    power: float,
    start: int,
    scores: Floats,
) -> None:
    """Add the items of the neighbours of row ``start`` and those after it to ``scores``, which are 0.

    Each counts its weight times the similarity; with a ``power``, an item's score is divided by that
    power of the sum of the similarities of the neighbours who have it. ``nearest`` (n, neighbours)
    is padded with -1, ``scores`` float32 (n, n_items).
    """
    sums = np.zeros(scores.shape[1] if power else 0, dtype=np.float32)
    for row in range(start, start + len(scores)):
        total = scores[row - start]
        for rank in range(nearest.shape[1]):
            near = nearest[row, rank]
            if near < 0:
                break
            _add_row(ends, items, weights, near, similarities[row, rank], total, sums)
        _divide(total, sums, power)


@compiled(
    "void(int64[::1], int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], float32[::1], "
    "float32[::1], float32, boolean, float32[::1], int64[::1], int32[::1], float32[::1], float64, int64, "
    "float32[:, ::1])"
)
def add_followers(  # noqa: PLR0917
    ends: Longs,
    columns: Ints,
    weights: Floats,
    column_ends: Longs,
    rows: Ints,
    row_weights: Floats,
    own_norms: Floats,
    norms: Floats,
    shrink: np.float32,
    overlap: bool,
    least: Floats,
    item_ends: Longs,
    items: Ints,
    item_weights: Floats,
    power: float,
    start: int,
    scores: Floats,
) -> None:
    """As `add_neighbours`, of those rows to which row ``start`` or one after it is near enough.

    The rows and their similarities are as in `nearest_rows`; ``least`` float32 (n_others,): the
    similarity that is near enough to a row, above 0. ``items`` and their weights are those of the
    rows.
    """
    products = np.zeros(len(norms), dtype=np.float32)
    touched = np.empty(len(norms) + 1, dtype=np.int32)
    sums = np.zeros(scores.shape[1] if power else 0, dtype=np.float32)
    for row in range(start, start + len(scores)):
        total, own = scores[row - start], slice(ends[row], ends[row + 1])
        count = _add_products(columns[own], weights[own], column_ends, rows, row_weights, products, touched)
        for other in touched[:count]:
            product = products[other]
            products[other] = 0
            if product > 0:
                similarity = _similarity(product, own_norms[row], norms[other], shrink, overlap)
                if similarity >= least[other]:
                    _add_row(item_ends, items, item_weights, other, similarity, total, sums)
        _divide(total, sums, power)
