"""The half-life at which an item's past users best predict its next ones, learned from the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Sequences, evenly_spread
from models.errors import ModelError
from models.evaluation.window import FEWEST_USERS, LENGTH, losses, rolling_cuts
from models.options import Size
from models.splitting.keys import among, distinct

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

HOUR = 3_600 * 10**6  # microseconds
DAY = 24 * HOUR
USERS = 2_000  # compared at most for each cut, evenly spread
LEAVING = 2.0  # standard errors by which a candidate is worse that is measured no further
Round: TypeAlias = tuple[Longs, Callable[["float | None"], Floats]]


@dataclass(frozen=True, eq=False)
class LastEvents:
    """The last event of each pair of user and item: parallel arrays int64 (n_pairs,).

    ``times`` in microseconds. Pairs are sorted by user, then item.
    """

    users: Longs
    items: Longs
    times: Longs
    n_items: int

    def since(self, start: float) -> LastEvents:
        """Return the pairs whose last event is at ``start`` or later."""
        kept = self.times >= start
        return LastEvents(self.users[kept], self.items[kept], self.times[kept], self.n_items)

    def popularity(self, at: int, half_life: float | None) -> npt.NDArray[np.float32]:
        """Return the sum over an item's users of 2^(-age / half-life), float32 (n_items,).

        Ages are relative to ``at``; a ``half_life`` (in microseconds) of None counts all alike.
        """
        gains = None if half_life is None else np.exp2((self.times - at) / half_life)
        return np.bincount(self.items, gains, self.n_items).astype(np.float32)


@dataclass(frozen=True, eq=False)
class PairEvents:
    """All events of the pairs with a training weight: parallel arrays int64 (n_events,).

    ``pairs`` are user * n_items + item; events are sorted by pair, then time in microseconds.
    """

    pairs: Longs
    times: Longs
    n_items: int

    @classmethod
    def of(cls, dataset: Dataset) -> PairEvents:
        """Return the events of a dataset.

        Raises
        ------
        ModelError
            When the dataset has no sequences, or they have no event of a trained pair.
        """
        sequences, matrix, n_items = dataset.sequences, dataset.matrix, dataset.n_items
        if sequences is None:
            raise ModelError("expected sequences with timestamps, to weigh events by age, got none")
        pairs, trained = event_pairs(sequences, n_items), entry_pairs(matrix)
        order = np.argsort(pairs, kind="stable")  # within a user, events are in time order already
        pairs = pairs[order]
        kept = trained[np.minimum(np.searchsorted(trained, pairs), len(trained) - 1)] == pairs
        if not kept.any():
            raise ModelError("expected events of the trained pairs in the sequences, got none")
        return cls(pairs[kept], sequences.timestamps[order][kept], n_items)

    def last(self, until: int | None = None) -> LastEvents:
        """Return the last event of each pair before ``until``; None: of all."""
        pairs, times = self.pairs, self.times
        if until is not None:
            pairs, times = pairs[times < until], times[times < until]
        last = np.ones(len(pairs), np.bool_)
        last[:-1] = pairs[1:] != pairs[:-1]
        return LastEvents(pairs[last] // self.n_items, pairs[last] % self.n_items, times[last], self.n_items)


def event_pairs(sequences: Sequences, n_items: int) -> Longs:
    """Return user * n_items + item of each event, int64 (n_events,)."""
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    return np.asarray(users * n_items + sequences.items)


def entry_pairs(matrix: sparse.csr_array) -> Longs:
    """Return user * n_items + item of each entry of a csr matrix (n_users, n_items), ascending."""
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.asarray(users * matrix.shape[1] + matrix.indices)


def learn_half_life(events: PairEvents) -> float | None:
    """Return the half-life in microseconds whose ranking best predicts later events.

    The candidates are 1 hour, 2 hours, 4 hours and so on, up to the span of the log, and None,
    which counts all events alike. At the start of each window (models.evaluation.window), each
    candidate ranks the items by their popularity then. Its NDCG@10 is measured over the users who
    have a history and take up items in the window that are new to them, but not to the log. The
    answer wins a race from the last window back: the longest candidate that is not worse than the
    best by more than the standard error of their difference, so that what a few users did does not
    make it short. With fewer than 30 such users the events say too little, and it is None.
    """
    times = events.times
    candidates: list[float | None] = [None]
    span = float(times.max() - times.min())
    candidates += [float(HOUR) * 2**power for power in range(64) if HOUR * 2**power <= span][::-1]
    return race(candidates, (_round(events, *cut) for cut in reversed(rolling_cuts(times))))


def learning_seconds(size: Size) -> float:
    """Return the seconds that ``learn_half_life`` takes, as a rule, on events of a size."""
    return 0.005 + 1.2e-6 * min(size.pairs, 100_000) + 4.8e-7 * size.pairs


def race(candidates: Sequence[float | None], rounds: Iterable[Round]) -> float | None:
    """Return the first candidate that is not worse than the best by more than a standard error.

    ``candidates`` are sorted from long to short. A round has users, int64 (n,), and a function that
    returns their metric for a candidate, float64 (n,). A candidate that is worse than the best by
    two standard errors leaves the race (Maron, Moore 1994, "Hoeffding races"), which ends when one
    is left. The errors are those of the mean difference to the best
    (models.evaluation.window.losses). With fewer than 30 users the rounds say too little, and it is
    None.
    """
    users, values = np.zeros(0, np.int64), np.zeros((len(candidates), 0))
    for asked, measure in rounds:
        if not len(asked):
            continue
        users = np.concatenate([users, asked])
        values = np.hstack([values, np.stack([measure(candidate) for candidate in candidates])])
        loss, error = losses(values, users)
        racing = (loss <= LEAVING * error) | (len(np.unique(users)) < FEWEST_USERS)
        candidates = [candidate for candidate, stays in zip(candidates, racing, strict=True) if stays]
        values = values[racing]
        if len(candidates) == 1:
            return candidates[0]
    if len(np.unique(users)) < FEWEST_USERS:
        return None
    loss, error = losses(values, users)
    return candidates[int(np.argmax(loss <= error))]


def _round(events: PairEvents, cut: int, stop: int) -> Round:
    """Return the users between two times, and how to measure a half-life on them by NDCG@10."""
    past, later = events.last(cut), events.last(stop)
    new = later.times >= cut
    question = _Question.of(past, later.users[new], later.items[new])
    if question is None:
        return np.zeros(0, np.int64), lambda _: np.zeros(0)
    return question.users, lambda half_life: question.ndcg(past.popularity(cut, half_life))


@dataclass(frozen=True, eq=False)
class _Question:
    """Users' seen items and the items they took up later, sorted by user.

    ``users`` int64 (n_users,). ``entries`` are the pairs: ``row`` int64, the number of the user;
    ``item``; ``sought`` bool, False for seen items. ``n_seen`` int64 (n_users,): their number.
    ``ideal`` float64 (n_users,): the best DCG of each user.
    """

    users: Longs
    row: Longs
    item: Longs
    sought: npt.NDArray[np.bool_]
    n_seen: Longs
    ideal: Floats

    @classmethod
    def of(cls, past: LastEvents, users: Longs, items: Longs) -> _Question | None:
        """Return the question that later pairs ask of the past; None without users."""
        known = np.zeros(past.n_items, np.bool_)
        known[past.items] = True
        new = known[items] & among(users, past.users)
        new &= ~among(users * past.n_items + items, past.users * past.n_items + past.items)
        users, items = users[new], items[new]
        asked = distinct(users)
        if not len(asked):
            return None
        asked = evenly_spread(asked, USERS)
        seen, sought = among(past.users, asked), among(users, asked)
        row = np.searchsorted(asked, np.concatenate([past.users[seen], users[sought]]))
        item = np.concatenate([past.items[seen], items[sought]])
        is_sought = np.arange(len(row)) >= np.count_nonzero(seen)
        counts = np.minimum(np.bincount(row[is_sought], minlength=len(asked)), LENGTH)
        n_seen = np.bincount(row[~is_sought], minlength=len(asked))
        return cls(asked, row, item, is_sought, n_seen, np.cumsum(_gains(np.arange(LENGTH)))[counts - 1])

    def ndcg(self, popularity: npt.NDArray[np.float32]) -> Floats:
        """Return each user's NDCG@10, float64 (n_users,), of one ranking without their seen items."""
        ranks, order = np.empty(len(popularity), np.int64), np.argsort(-popularity, kind="stable")
        ranks[order], ordered = np.arange(len(popularity)), popularity[order]
        rank = ranks[self.item]
        near = rank < LENGTH + self.n_seen[self.row]  # others are not listed, nor above what is
        keys = (self.row * len(ranks) + rank)[near]  # ordered by user, then rank
        seen, sought = np.sort(keys[~self.sought[near]]), np.sort(keys[self.sought[near]])
        row, rank = np.divmod(sought, len(ranks))
        above = np.searchsorted(seen, sought) - np.searchsorted(seen, row * len(ranks))  # seen by the user
        position = rank - above
        listed = (position < LENGTH) & (ordered[rank] > 0)
        gains = np.bincount(row[listed], _gains(position[listed]), len(self.ideal))
        return gains / self.ideal


def _gains(positions: Longs) -> Floats:
    """Return the gain of a relevant item at positions from 0."""
    return np.asarray(1 / np.log2(positions + 2.0))
