"""The compiled search for the nearest columns of a sparse matrix (import it late: numba)."""

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
def _key(similarity: np.float32, item: int) -> np.uint64:
    """Return an integer that is larger for a higher similarity above 0, then for a lower item."""
    bits = np.uint64(np.float32(similarity).view(np.uint32))
    return (bits << np.uint64(32)) | np.uint64(0xFFFFFFFF - item)


@compiled("int64(int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], float32[::1], int32[::1])")
def _add_products(  # noqa: PLR0917
    users: Ints,
    user_weights: Floats,
    user_ends: Longs,
    items: Ints,
    item_weights: Floats,
    products: Floats,
    touched: Ints,
) -> int:
    """Add an item's products with all items to ``products``, which is 0; return how many are above 0.

    These are written to ``touched``, which is one longer than the catalogue.
    """
    total, count = 0, 0
    for user in users:
        total += user_ends[user + 1] - user_ends[user]
    if total > len(products):  # looking for the touched items afterwards is faster
        for i, user in enumerate(users):
            for entry in range(user_ends[user], user_ends[user + 1]):
                products[items[entry]] += user_weights[i] * item_weights[entry]
        for neighbour in range(len(products)):
            touched[count] = neighbour
            count += int(products[neighbour] > 0)
        return count
    for i, user in enumerate(users):
        for entry in range(user_ends[user], user_ends[user + 1]):
            neighbour = items[entry]
            before = products[neighbour]
            products[neighbour] = before + user_weights[i] * item_weights[entry]
            touched[count] = neighbour
            count += int(before == 0) & int(products[neighbour] > 0)
    return count


@compiled(
    "void(int64[::1], int32[::1], float32[::1], int64[::1], int32[::1], float32[::1], float32[::1], "
    "float32, int64, int32[:, ::1], float32[:, ::1])"
)
def nearest_items(  # noqa: PLR0917
    item_ends: Longs,
    users: Ints,
    user_weights: Floats,
    user_ends: Longs,
    items: Ints,
    item_weights: Floats,
    norms: Floats,
    shrink: np.float32,
    start: int,
    nearest: Ints,
    similarities: Floats,
) -> None:
    """Write the nearest items of item ``start`` and of those after it, the best first.

    Item i has ``users[item_ends[i]:item_ends[i + 1]]`` with their weights, none below 0; the items
    of a user are given in the same way. ``norms`` float32 (n_items,). ``nearest`` and
    ``similarities`` (n, neighbours) are padded already. Products are added up in the order of the
    users: they do not depend on the items of a call.
    """
    products = np.zeros(len(norms), dtype=np.float32)
    touched = np.empty(len(norms) + 1, dtype=np.int32)
    most = nearest.shape[1]
    keys = np.empty(min(len(norms), ROOM * most), dtype=np.uint64)
    for row in range(len(nearest)):
        item = start + row
        own = slice(item_ends[item], item_ends[item + 1])
        count = _add_products(
            users[own], user_weights[own], user_ends, items, item_weights, products, touched
        )
        near, least = 0, np.uint64(0)
        for neighbour in touched[:count]:
            similarity = products[neighbour] / (norms[item] * norms[neighbour] + shrink)
            products[neighbour] = 0
            key = _key(similarity, neighbour)
            keys[near] = key
            near += int(similarity > 0) & int(neighbour != item) & int(key > least)
            if near == ROOM * most:  # what is not among the nearest so far need not be kept
                keys[:most] = np.partition(keys, near - most)[near - most :]
                near, least = most, keys[0]
        kept = min(most, near)
        largest = np.partition(keys[:near], near - kept)[near - kept :] if kept < near else keys[:near]
        ranked = np.sort(largest)
        for rank in range(kept):
            key = ranked[kept - 1 - rank]
            nearest[row, rank] = np.int32(0xFFFFFFFF - (key & np.uint64(0xFFFFFFFF)))
            similarities[row, rank] = np.uint32(key >> np.uint64(32)).view(np.float32)
