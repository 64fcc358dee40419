"""Splits of events into training and test, in time or otherwise.

All functions take ``Sequences`` in true order within each user: by timestamp, then position, then
log order (``to_sequences`` makes them). All evaluations use ``split_last`` by default: one cut in
time for all users. ``leave_last_out`` and ``split_randomly`` let a model learn from events later
than those it is tested on. Compare their figures with published ones, not with those of a night.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Sequences
from models.errors import ModelError
from models.splitting.keys import among, distinct
from models.timestamps import LATEST, microseconds, to_microseconds

Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
Timestamp = int | np.datetime64 | datetime
"""Integers are microseconds; datetimes without a zone are UTC."""


class RandomSplitWarning(UserWarning):
    """Events were split at random, so the model can learn from the future."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training events and test pairs, with counts of cold and repeated ones.

    ``train`` and ``tested`` bool (n_events,) over the events of the sequences, never both; ``test``
    csr float32 (n_users, n_items): 1 for every tested pair that was not trained on, including cold
    ones; ``cold_users`` bool (n_users,) and ``cold_items`` bool (n_items,): in the test but in no
    training event; ``repeats``: tested pairs that were trained on, which ``test`` leaves out
    because seen items are never recommended; ``boundary``: the start of the test in microseconds,
    None if users have different ones.
    """

    train: Bools
    tested: Bools
    test: sparse.csr_array
    cold_users: Bools
    cold_items: Bools
    repeats: int
    boundary: int | None = None

    @property
    def warm(self) -> sparse.csr_array:
        """The test pairs whose user and item both occur in training, csr float32."""
        rows = np.repeat(np.arange(self.test.shape[0]), np.diff(self.test.indptr))
        kept = ~self.cold_users[rows] & ~self.cold_items[self.test.indices]
        parts = (self.test.data[kept], (rows[kept], self.test.indices[kept]))
        return sparse.coo_array(parts, shape=self.test.shape).tocsr()

    @property
    def warm_users(self) -> Longs:
        """Indices of the users with training events and known items to find, int64."""
        return np.flatnonzero(np.diff(self.warm.indptr) > 0)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of events, pairs, users and items, by their role in the split."""
        return {
            "train_events": int(self.train.sum()),
            "test_events": int(self.tested.sum()),
            "unused_events": int((~self.train & ~self.tested).sum()),
            "test_pairs": int(self.test.nnz),
            "repeated_pairs": self.repeats,
            "cold_pairs": int(self.test.nnz - self.warm.nnz),
            "cold_users": int(self.cold_users.sum()),
            "cold_items": int(self.cold_items.sum()),
            "warm_users": len(self.warm_users),
        }


def to_sequences(
    users: npt.NDArray[np.integer],
    items: npt.NDArray[np.integer],
    timestamps: npt.NDArray[np.integer] | npt.NDArray[np.datetime64],
    n_users: int,
    position: npt.NDArray[np.integer] | None = None,
) -> tuple[Sequences, Longs]:
    """Return events as sequences, with the order int64 (n_events,) of the events in them.

    ``timestamps`` (n_events,): datetime64 of any unit in UTC, or integers in microseconds. A user's
    events are sorted by timestamp, then by ``position`` if given, then in input order. The sort is
    stable, since an unstable one would change which item is a user's last.

    Raises
    ------
    ModelError
        When an array has another type or length, a user is not below ``n_users``, or a timestamp is
        missing or not a whole number of microseconds.
    """
    times = microseconds(timestamps)
    _check_codes("users", users, len(times), n_users)
    _check_codes("items", items, len(times), 2**31)
    if position is not None:
        _check_codes("positions", position, len(times))
    keys = [times, users] if position is None else [position, times, users]
    order = np.lexsort(keys)  # stable; the last key sorts first
    indptr = np.concatenate(([0], np.cumsum(np.bincount(users, minlength=n_users)))).astype(np.int64)
    return Sequences(indptr, items[order].astype(np.int32), times[order]), order


def split_between(sequences: Sequences, n_items: int, start: Timestamp, stop: Timestamp = LATEST) -> Split:
    """Train on events before ``start``, test on those from ``start`` to before ``stop``.

    Later events are in neither part. A validation split stops where the test starts.
    """
    times, start, stop = sequences.timestamps, to_microseconds(start), to_microseconds(stop)
    train, tested = times < start, (times >= start) & (times < stop)
    if not train.any() or not tested.any():
        side = "before" if not train.any() else "from"
        raise ModelError(f"expected events on both sides of {start}, got none {side} it")
    return split_events(sequences, n_items, train, tested, boundary=start)


def split_at(sequences: Sequences, n_items: int, boundary: Timestamp) -> Split:
    """Train on events before ``boundary``, test on the others; neither part may be empty."""
    return split_between(sequences, n_items, boundary)


def split_last(sequences: Sequences, n_items: int, share: float) -> Split:
    """Split with about the last ``share`` of all events as the test.

    Events with equal timestamps stay together in the test, as their order in a file has no meaning.
    The test can thus be larger than requested but never smaller, and does not depend on the order
    of ties.
    """
    return split_between(sequences, n_items, last_share_start(sequences, share))


def last_share_start(sequences: Sequences, share: float) -> int:
    """Return the start of about the last ``share`` of the events, in microseconds."""
    if not 0 < share < 1:
        raise ModelError(f"expected a share between 0 and 1, got {share}")
    if not len(sequences.timestamps):
        raise ModelError("expected events to split, got none")
    ordered = np.sort(sequences.timestamps)
    return int(ordered[-max(1, round(share * len(ordered)))])


def last_share_starts(sequences: Sequences, share: float, windows: int) -> list[int]:
    """Return the starts of ``windows`` equal parts of about the last ``share`` of all events.

    The starts are ascending, in microseconds; windows that start at the same time are merged.
    """
    if windows < 1:
        raise ModelError(f"expected 1 window or more, got {windows}")
    shares = [share * (windows - number) / windows for number in range(windows)]
    return sorted({last_share_start(sequences, part) for part in shares})


def split_with_validation(
    sequences: Sequences, n_items: int, share: float, validation_share: float
) -> tuple[Split, Split]:
    """Return the validation split and the test split: train, then validation, then test.

    The test is the last ``share`` of the events, the validation the last ``validation_share`` of
    the events before it. Choose settings on the validation split, whose models do not see the test;
    the final model trains on everything before the test.
    """
    test = split_last(sequences, n_items, share)
    past = train_sequences(sequences, test)
    start = last_share_start(past, validation_share)
    return split_between(sequences, n_items, start, last_share_start(sequences, share)), test


def rolling(
    sequences: Sequences, n_items: int, cuts: Sequence[Timestamp], horizon: int | None = None
) -> list[Split]:
    """Return one split per cut-off, each trained on all events before it: a backtest.

    ``cuts`` ascending. Each test lasts until the next cut-off (the last until the end), or
    ``horizon`` microseconds.
    """
    starts = [to_microseconds(cut) for cut in cuts]
    if not starts or any(later <= earlier for earlier, later in pairwise(starts)):
        raise ModelError(f"expected ascending cut-offs, got {starts}")
    stops = [*starts[1:], LATEST] if horizon is None else [start + horizon for start in starts]
    return [split_between(sequences, n_items, *window) for window in zip(starts, stops, strict=True)]


def leave_last_out(sequences: Sequences, n_items: int, last: int = 1, skip: int = 0) -> Split:
    """Test the ``last`` events of every user before the final ``skip``; train on earlier ones.

    With ``skip`` equal to the test's ``last``, this is the matching validation split, which never
    trains on test events. Users with too few events to keep one for training are not tested.
    """
    if last < 1 or skip < 0:
        raise ModelError(f"expected last >= 1 and skip >= 0, got {last} and {skip}")
    lengths = np.repeat(sequences.lengths, sequences.lengths)
    ends = np.repeat(sequences.indptr[1:], sequences.lengths) - np.arange(
        len(sequences.items)
    )  # 1 is the last
    enough = lengths > last + skip
    train = np.where(enough, ends > last + skip, (ends > skip) | (lengths <= skip))
    tested = enough & (ends <= last + skip) & (ends > skip)
    if not tested.any():
        raise ModelError(f"expected a user with more than {last + skip} events, got none")
    return split_events(sequences, n_items, train, tested)


def split_randomly(sequences: Sequences, n_items: int, share: float, seed: int) -> Split:
    """Test a random ``share`` of each user's pairs (rounded down), with a RandomSplitWarning.

    All events of a pair are on the same side. Use it only to compare with published figures.
    """
    if not 0 < share < 1:
        raise ModelError(f"expected a share between 0 and 1, got {share}")
    warnings.warn("a random split lets models learn from the future", RandomSplitWarning, stacklevel=2)
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    pairs, pair_of_event = np.unique(users * n_items + sequences.items, return_inverse=True)
    chosen = random_share(pairs // n_items, len(sequences), share, np.random.default_rng(seed))
    if not chosen.any():
        raise ModelError(f"expected a user for whom {share:.0%} is at least one item, got none")
    return split_events(sequences, n_items, ~chosen[pair_of_event], chosen[pair_of_event])


def random_share(
    users: npt.NDArray[np.integer], n_users: int, share: float, generator: np.random.Generator
) -> Bools:
    """Choose int(share * entries) random entries per user; ``users`` (n_entries,) ascending."""
    counts = np.bincount(users, minlength=n_users)
    shuffled = np.lexsort((generator.random(len(users)), users))
    rank = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = np.zeros(len(users), dtype=np.bool_)
    chosen[shuffled[rank < np.repeat((share * counts).astype(np.int64), counts)]] = True
    return chosen


def split_events(
    sequences: Sequences, n_items: int, train: Bools, tested: Bools, boundary: int | None = None
) -> Split:
    """Return the split for given training and test events."""
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    pairs = users * n_items + sequences.items
    tested_pairs = distinct(pairs[tested])
    new, shape = tested_pairs[~among(tested_pairs, distinct(pairs[train]))], (len(sequences), n_items)
    parts = (np.ones(len(new), np.float32), (new // n_items, new % n_items))
    return Split(
        train=train,
        tested=tested,
        test=sparse.coo_array(parts, shape=shape).tocsr(),
        cold_users=_only_in_test(users, train, tested, len(sequences)),
        cold_items=_only_in_test(sequences.items, train, tested, n_items),
        repeats=len(tested_pairs) - len(new),
        boundary=boundary,
    )


def train_sequences(sequences: Sequences, split: Split) -> Sequences:
    """Return the training events of every user; users without any keep an empty row."""
    return select_events(sequences, split.train)


def select_events(sequences: Sequences, kept: Bools) -> Sequences:
    """Return the selected events, bool (n_events,), of every user."""
    before = np.concatenate(([0], np.cumsum(kept)))
    indptr = before[sequences.indptr].astype(np.int64)
    return Sequences(indptr, sequences.items[kept], sequences.timestamps[kept])


def event_matrix(
    sequences: Sequences, n_items: int, weights: npt.NDArray[np.float32] | None = None
) -> sparse.csr_array:
    """Return csr float32 (n_users, n_items): the sum of each pair's event weights, 1 by default."""
    if weights is None:
        weights = np.ones(len(sequences.items), dtype=np.float32)
    if weights.shape != sequences.items.shape:
        raise ModelError(f"expected one weight per event {sequences.items.shape}, got {weights.shape}")
    parts = (weights.astype(np.float32), sequences.items, sequences.indptr)
    matrix = sparse.csr_array(parts, shape=(len(sequences), n_items), copy=True)
    matrix.sum_duplicates()
    return matrix


def _only_in_test(values: npt.NDArray[np.integer], train: Bools, tested: Bools, size: int) -> Bools:
    in_train, in_test = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    in_train[values[train]] = True
    in_test[values[tested]] = True
    return in_test & ~in_train


def _check_codes(name: str, codes: npt.NDArray[np.integer], length: int, stop: int | None = None) -> None:
    if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu" or codes.shape != (length,):
        kind = f"{codes.dtype} {codes.shape}" if isinstance(codes, np.ndarray) else type(codes).__name__
        raise ModelError(f"expected {name} as an array of {length} integers, one per event, got {kind}")
    if stop is not None and length and not 0 <= codes.min() <= codes.max() < stop:
        raise ModelError(f"expected {name} from 0 to below {stop}, got {codes.min()} to {codes.max()}")
