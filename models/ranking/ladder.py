"""The fallback ladder: what a model leaves empty is filled from ranked lists, step by step, never short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.compiled import compiled
from models.ranking.topn import TopN

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Rankings:
    """Ranked lists of items under each other: list k is ``items[indptr[k]:indptr[k + 1]]``, best first.

    ``indptr`` int64 (n_lists + 1,), ``items`` int32.
    """

    indptr: Longs
    items: Ints

    @classmethod
    def of(cls, lists: Sequence[Ints]) -> Rankings:
        """Return the rankings of these lists."""
        lengths = [len(one) for one in lists]
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return cls(indptr, np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32))


def fill(
    top: TopN, rankings: Rankings, ladder: Ints, seen: sparse.csr_array | None, *, repeat: bool
) -> tuple[TopN, Bytes]:
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
    full = TopN(top.items.copy(), top.scores.copy())
    origin = np.where(full.items >= 0, 0, -1).astype(np.int8)
    n_items = int(max(rankings.items.max(initial=-1), full.items.max(initial=-1))) + 1
    indptr, indices = np.zeros(len(origin) + 1, np.int64), np.zeros(0, np.int32)
    if seen is not None:
        indptr, indices = seen.indptr.astype(np.int64), seen.indices.astype(np.int32)
        n_items = max(n_items, seen.shape[1])
    climb = np.ascontiguousarray(ladder, dtype=np.int32)
    taken = np.full(n_items, -1, np.int64)
    ranked = (rankings.indptr, rankings.items)
    _fill(full.items, full.scores, origin, *ranked, climb, indptr, indices, taken, repeat)
    return full, origin


@compiled("int64(int32[::1], int8[::1], int64, int32[::1], int64[::1], int64, int64, int8)")
def _append(  # noqa: PLR0917
    items: Ints,
    origin: Bytes,
    place: int,
    ranking: Ints,
    taken: Longs,
    first_free: int,
    mark: int,
    source: int,
) -> int:
    """Append items of a ranking to a list from `place` on; items with a mark >= `first_free` are not free."""
    for item in ranking:
        if place == len(items):
            break
        if taken[item] < first_free:
            taken[item] = mark
            items[place] = item
            origin[place] = source
            place += 1
    return place


@compiled(
    "int64(int32[::1], int8[::1], int64, int32[::1], int64[::1], int32[::1], int64[::1], int64, boolean)"
)
def _climb(  # noqa: PLR0917
    items: Ints,
    origin: Bytes,
    place: int,
    steps: Ints,
    starts: Longs,
    ranked: Ints,
    taken: Longs,
    seen: int,
    repeat: bool,
) -> int:
    """Fill one list from `place` on; `taken` holds `seen` for seen items and `seen` + 1 for listed ones."""
    for turn in range(2 if repeat else 1):
        for step in range(len(steps)):
            k = steps[step]
            if k >= 0:
                ranking = ranked[starts[k] : starts[k + 1]]
                source = step + 1 if turn == 0 else len(steps) + 1
                place = _append(items, origin, place, ranking, taken, seen + turn, seen + 1, source)
    return place


@compiled(
    "void(int32[:, ::1], float32[:, ::1], int8[:, ::1], int64[::1], int32[::1], int32[:, ::1], int64[::1], "
    "int32[::1], int64[::1], boolean)"
)
def _fill(  # noqa: PLR0917
    items: Ints,
    scores: Floats,
    origin: Bytes,
    starts: Longs,
    ranked: Ints,
    ladder: Ints,
    indptr: Longs,
    seen: Ints,
    taken: Longs,
    repeat: bool,
) -> None:
    n_users, n = items.shape
    for user in range(n_users):
        first = 0
        while first < n and items[user, first] >= 0:
            first += 1
        if first == n:
            continue
        mark = 2 * user  # larger than every mark of the users before
        taken[seen[indptr[user] : indptr[user + 1]]] = mark
        taken[items[user, :first]] = mark + 1
        full = _climb(items[user], origin[user], first, ladder[user], starts, ranked, taken, mark, repeat)
        last = min(scores[user, first - 1], np.float32(0)) if first > 0 else np.float32(0)
        for at in range(first, full):
            scores[user, at] = last - np.float32(at - first + 1)
