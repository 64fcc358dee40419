"""Splits in time: train on what was before a moment, test on what came after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Sequences
from models.errors import ModelError


@dataclass(frozen=True, eq=False)
class Split:
    """Training events and what each user did next; what is cold or repeated is counted, never dropped unsaid.

    ``train`` bool (n_events,) over the events of the sequences, True before ``boundary`` (microseconds);
    ``test`` csr float32 (n_users, n_items): 1 for every pair first seen from the boundary on, cold ones
    included; ``cold_users`` bool (n_users,) and ``cold_items`` bool (n_items,): in the test events, in no
    training event; ``repeats``: test pairs that were trained on, which are not in ``test``, since seen items
    are never recommended.
    """

    boundary: int
    train: npt.NDArray[np.bool_]
    test: sparse.csr_array
    cold_users: npt.NDArray[np.bool_]
    cold_items: npt.NDArray[np.bool_]
    repeats: int

    @property
    def warm_users(self) -> npt.NDArray[np.int64]:
        """Indices of the users with training events and something to find, int64."""
        return np.flatnonzero((np.diff(self.test.indptr) > 0) & ~self.cold_users)


def split_at(sequences: Sequences, n_items: int, boundary: int) -> Split:
    """Split at a moment in microseconds: events before it train, the others test; both must have some."""
    train = sequences.timestamps < boundary
    if not train.any() or train.all():
        side = "before" if not train.any() else "from"
        raise ModelError(f"expected events on both sides of {boundary}, got none {side} it")
    users = np.repeat(np.arange(len(sequences)), sequences.lengths)
    pairs = users * n_items + sequences.items
    trained, tested = np.unique(pairs[train]), np.unique(pairs[~train])
    new = np.setdiff1d(tested, trained, assume_unique=True)
    shape = (len(sequences), n_items)
    test = sparse.coo_array(
        (np.ones(len(new), np.float32), (new // n_items, new % n_items)), shape=shape
    ).tocsr()
    return Split(
        boundary=int(boundary),
        train=train,
        test=test,
        cold_users=_only_in_test(users, train, len(sequences)),
        cold_items=_only_in_test(sequences.items, train, n_items),
        repeats=len(tested) - len(new),
    )


def split_last(sequences: Sequences, n_items: int, share: float) -> Split:
    """Split so that about the last ``share`` of all events is the test.

    Events of one moment stay together, on the test side: their order in a file says nothing. So the test may
    be larger than asked for, never smaller, and the answer does not depend on how ties were sorted.
    """
    if not 0 < share < 1:
        raise ModelError(f"expected a share between 0 and 1, got {share}")
    if not len(sequences.timestamps):
        raise ModelError("expected events to split, got none")
    ordered = np.sort(sequences.timestamps)
    last = max(1, round(share * len(ordered)))
    return split_at(sequences, n_items, int(ordered[-last]))


def train_sequences(sequences: Sequences, split: Split) -> Sequences:
    """Return the training events of every user; a user without any keeps an empty row."""
    before = np.concatenate(([0], np.cumsum(split.train)))
    indptr = before[sequences.indptr].astype(np.int64)
    return Sequences(indptr, sequences.items[split.train], sequences.timestamps[split.train])


def event_matrix(
    sequences: Sequences, n_items: int, weights: npt.NDArray[np.float32] | None = None
) -> sparse.csr_array:
    """Return csr float32 (n_users, n_items): sums of the weights of a pair's events, 1 each by default."""
    if weights is None:
        weights = np.ones(len(sequences.items), dtype=np.float32)
    if weights.shape != sequences.items.shape:
        raise ModelError(f"expected one weight an event {sequences.items.shape}, got {weights.shape}")
    parts = (weights.astype(np.float32), sequences.items, sequences.indptr)
    matrix = sparse.csr_array(parts, shape=(len(sequences), n_items), copy=True)
    matrix.sum_duplicates()
    return matrix


def _only_in_test(
    values: npt.NDArray[np.integer], train: npt.NDArray[np.bool_], size: int
) -> npt.NDArray[np.bool_]:
    in_train, in_test = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    in_train[values[train]] = True
    in_test[values[~train]] = True
    return in_test & ~in_train
