"""The fallback ladder: what the model leaves empty is filled from ranked lists, step by step, so that no list is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.topn import TopN

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Rankings:
    """Ranked lists of items under each other: list k is ``items[indptr[k]:indptr[k + 1]]``, best first.

    ``indptr`` int64 (n_lists + 1,), ``items`` int32.
    """

    indptr: npt.NDArray[np.int64]
    items: IntArray

    @classmethod
    def of(cls, lists: Sequence[IntArray]) -> Rankings:
        """Return the rankings of these lists."""
        lengths = [len(one) for one in lists]
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return cls(indptr, np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32))


def fill(
    top: TopN, rankings: Rankings, ladder: IntArray, seen: sparse.csr_array | None, repeat: bool
) -> tuple[TopN, npt.NDArray[np.int8]]:
    """Return full lists and where each place came from.

    Parameters
    ----------
    top
        Lists (n_users, n) as a model made them, padded with -1.
    rankings
        The lists to fill from; they hold only items that may be recommended.
    ladder
        int32 (n_users, n_steps): which ranking each step of a user's ladder is; -1 is no step.
    seen
        Items that a user must not get, csr (n_users, n_items); None for none.
    repeat
        Whether the ladder is climbed a second time without regard to ``seen`` where it was not enough.

    Returns
    -------
    TopN, int8 (n_users, n)
        The place of an item: 0 the model, s + 1 step s of the ladder, n_steps + 1 a seen item; -1 where
        nothing was left. The score of a filled place is min(0, the model's last score) minus its number
        among the filled ones: it ranks, it does not measure.
    """
    items, scores = top.items.copy(), top.scores.copy()
    origin = np.where(items >= 0, 0, -1).astype(np.int8)
    n_items = int(max(rankings.items.max(initial=-1), items.max(initial=-1))) + 1
    if seen is None:
        indptr, indices = np.zeros(len(items) + 1, np.int64), np.zeros(0, np.int32)
    else:
        indptr, indices = seen.indptr.astype(np.int64), seen.indices.astype(np.int32)
        n_items = max(n_items, seen.shape[1])
    _fill(
        items,
        scores,
        origin,
        rankings.indptr,
        rankings.items,
        np.ascontiguousarray(ladder),
        indptr,
        indices,
        np.full(n_items, -1, np.int64),
        repeat,
    )
    return TopN(items, scores), origin


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(items, scores, origin, starts, ranked, ladder, indptr, seen, taken, repeat):  # type: ignore[no-untyped-def]
    n_users, n = items.shape
    steps = ladder.shape[1]
    for user in range(n_users):
        place = 0
        while place < n and items[user, place] >= 0:
            place += 1
        if place == n:
            continue
        last = min(scores[user, place - 1], np.float32(0)) if place > 0 else np.float32(0)
        filled = 0
        # taken[item] == 2 * user: in the list; 2 * user + 1: seen
        for at in range(indptr[user], indptr[user + 1]):
            taken[seen[at]] = 2 * user + 1
        for at in range(place):
            taken[items[user, at]] = 2 * user
        for turn in range(2 if repeat else 1):
            for step in range(steps):
                ranking = ladder[user, step]
                if ranking < 0:
                    continue
                for at in range(starts[ranking], starts[ranking + 1]):
                    if place == n:
                        break
                    item = ranked[at]
                    if taken[item] == 2 * user or (turn == 0 and taken[item] == 2 * user + 1):
                        continue
                    taken[item] = 2 * user
                    filled += 1
                    items[user, place] = item
                    scores[user, place] = last - np.float32(filled)
                    origin[user, place] = step + 1 if turn == 0 else steps + 1
                    place += 1
