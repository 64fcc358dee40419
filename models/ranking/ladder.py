"""The fallback ladder: fills what a model leaves empty from ranked lists, step by step."""

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
    """Concatenated ranked lists of items: list k is ``items[indptr[k]:indptr[k + 1]]``, best first.

    ``indptr`` int64 (n_lists + 1,), ``items`` int32.
    """

    indptr: Longs
    items: Ints

    @classmethod
    def of(cls, lists: Sequence[Ints]) -> Rankings:
        """Return the rankings of these lists."""
        lengths = [len(items) for items in lists]
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return cls(indptr, np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32))


def fill(
    top: TopN, rankings: Rankings, ladder: Ints, seen: sparse.csr_array | None, *, repeat: bool
) -> tuple[TopN, Bytes]:
    """Return full lists and the origin of each entry.

    Parameters
    ----------
    top
        Lists (n_users, n) as a model made them, padded with -1.
    rankings
        The lists to fill from, with recommendable items only.
    ladder
        int32 (n_users, n_steps): the ranking of each step of a user's ladder; -1 skips the step.
    seen
        Items a user must not get, csr (n_users, n_items); None for none.
    repeat
        Whether to climb the ladder a second time, ignoring ``seen``, if lists are still short.

    Returns
    -------
    TopN, int8 (n_users, n)
        The origin of each entry: 0 the model, s + 1 step s of the ladder, n_steps + 1 a seen item,
        -1 an empty entry. A filled entry has the score min(0, the model's last score) minus its
        position among the filled entries, so it ranks but does not measure.
    """
    full = TopN(top.items.copy(), top.scores.copy())
    origin = np.where(full.items >= 0, 0, -1).astype(np.int8)
    n_items = int(max(rankings.items.max(initial=-1), full.items.max(initial=-1))) + 1
    indptr, indices = np.zeros(len(origin) + 1, np.int64), np.zeros(0, np.int32)
    if seen is not None:
        indptr, indices = seen.indptr.astype(np.int64), seen.indices.astype(np.int32)
        n_items = max(n_items, seen.shape[1])
    climb = np.ascontiguousarray(ladder, dtype=np.int32)
    marks = np.full(n_items, -1, np.int64)
    ranked = (rankings.indptr, rankings.items)
    _fill(full.items, full.scores, origin, *ranked, climb, indptr, indices, marks, repeat)
    return full, origin


@compiled("int64(int32[::1], int8[::1], int64, int32[::1], int64[::1], int64, int64, int8)")
def _append(  # noqa: PLR0917
    items: Ints,
    origin: Bytes,
    position: int,
    ranking: Ints,
    marks: Longs,
    first_free: int,
    mark: int,
    source: int,
) -> int:
    """Append items of a ranking from `position` on, except those with a mark >= `first_free`."""
    for item in ranking:
        if position == len(items):
            break
        if marks[item] < first_free:
            marks[item] = mark
            items[position] = item
            origin[position] = source
            position += 1
    return position


@compiled(
    "int64(int32[::1], int8[::1], int64, int32[::1], int64[::1], int32[::1], int64[::1], int64, boolean)"
)
def _climb(  # noqa: PLR0917
    items: Ints,
    origin: Bytes,
    position: int,
    steps: Ints,
    starts: Longs,
    ranked: Ints,
    marks: Longs,
    seen: int,
    repeat: bool,
) -> int:
    """Fill one list from `position`; `marks` is `seen` for seen, `seen` + 1 for listed items."""
    for turn in range(2 if repeat else 1):
        for step in range(len(steps)):
            k = steps[step]
            if k >= 0:
                ranking = ranked[starts[k] : starts[k + 1]]
                source = step + 1 if turn == 0 else len(steps) + 1
                position = _append(items, origin, position, ranking, marks, seen + turn, seen + 1, source)
    return position


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
    marks: Longs,
    repeat: bool,
) -> None:
    n_users, n = items.shape
    for user in range(n_users):
        first = 0
        while first < n and items[user, first] >= 0:
            first += 1
        if first == n:
            continue
        mark = 2 * user  # larger than all marks of earlier users
        marks[seen[indptr[user] : indptr[user + 1]]] = mark
        marks[items[user, :first]] = mark + 1
        full = _climb(items[user], origin[user], first, ladder[user], starts, ranked, marks, mark, repeat)
        last = min(scores[user, first - 1], np.float32(0)) if first > 0 else np.float32(0)
        for position in range(first, full):
            scores[user, position] = last - np.float32(position - first + 1)
