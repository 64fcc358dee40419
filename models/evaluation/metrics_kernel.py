"""The compiled pass over ranked lists (import it late): what the metrics are made of, at each cut-off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@compiled(
    "int64(int32[:, ::1], int64[::1], int32[::1], int64[::1], float64[::1], int32[::1], int32[:, :], "
    "float64[:, :], float64[:, :], int32[:])"
)
def judge_rows(  # noqa: PLR0917
    items: Ints,
    indptr: Longs,
    relevant: Ints,
    ks: Longs,
    discounts: Floats,
    mark: Ints,
    hits: Ints,
    gains: Floats,
    precisions: Floats,
    first: Ints,
) -> int:
    """Fill in what each list has gathered at each cut-off; return the first row with an item twice, or -1.

    ``mark`` (n_items,) of zeros is scratch: u + 1 where user u wants the item, -(u + 1) where it is listed.
    """
    n_users, n = items.shape
    for user in range(n_users):
        own = np.int32(user + 1)
        for item in relevant[indptr[user] : indptr[user + 1]]:
            mark[item] = own
        found, gain, precision, at = 0, 0.0, 0.0, 0
        for rank in range(n):
            item = items[user, rank]
            if item >= 0:
                if mark[item] == -own:
                    return user
                if mark[item] == own:
                    found += 1
                    gain += discounts[rank]
                    precision += found / (rank + 1)
                    if found == 1:
                        first[user] = rank + 1
                mark[item] = -own
            if at < len(ks) and rank + 1 == ks[at]:
                hits[at, user] = found
                gains[at, user] = gain
                precisions[at, user] = precision
                at += 1
    return -1
