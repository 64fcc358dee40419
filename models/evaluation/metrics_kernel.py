"""The compiled pass over ranked lists (import it late: numba): the parts of all metrics."""

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
def match_rows(  # noqa: PLR0917
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
    """Write the parts of the metrics per cut-off; return the first row with an item twice, or -1.

    ``mark`` (n_items,) is scratch, initially 0: u + 1 for items relevant to user u, -(u + 1) for
    listed items.
    """
    n_users, n = items.shape
    for user in range(n_users):
        tag = np.int32(user + 1)
        for item in relevant[indptr[user] : indptr[user + 1]]:
            mark[item] = tag
        hit_count, gain, precision, cut = 0, 0.0, 0.0, 0
        for rank in range(n):
            item = items[user, rank]
            if item >= 0:
                if mark[item] == -tag:
                    return user
                if mark[item] == tag:
                    hit_count += 1
                    gain += discounts[rank]
                    precision += hit_count / (rank + 1)
                    if hit_count == 1:
                        first[user] = rank + 1
                mark[item] = -tag
            if cut < len(ks) and rank + 1 == ks[cut]:
                hits[cut, user] = hit_count
                gains[cut, user] = gain
                precisions[cut, user] = precision
                cut += 1
    return -1
