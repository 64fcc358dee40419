"""Splits in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset import Sequences
from models.errors import ModelError
from models.split import event_matrix, split_at, split_last, train_sequences


def sequences(*users: list[tuple[int, int]]) -> Sequences:
    """Return the sequences of users given as (item, timestamp) lists."""
    events = [event for user in users for event in user]
    return Sequences(
        np.cumsum([0, *map(len, users)], dtype=np.int64),
        np.array([item for item, _ in events], dtype=np.int32),
        np.array([time for _, time in events], dtype=np.int64),
    )


WORLD = sequences(
    [(0, 1), (1, 2), (0, 8), (2, 9)],  # repeats item 0, then takes 2
    [(1, 3), (3, 7), (3, 9)],  # takes 3, which nobody trained on, twice
    [(2, 4)],  # nothing after the boundary
    [(0, 7)],  # arrives after the boundary
    [],
)


def test_events_from_the_boundary_on_are_the_test_and_nothing_is_dropped_unsaid() -> None:
    split = split_at(WORLD, 5, 7)
    assert split.train.tolist() == [True, True, False, False, True, False, False, True, False]
    assert split.test.toarray().tolist() == [
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert split.cold_users.tolist() == [False, False, False, True, False]
    assert split.cold_items.tolist() == [False, False, False, True, False]
    assert split.repeats == 1
    assert split.warm_users.tolist() == [0, 1]


def test_training_sequences_and_their_matrix_hold_only_the_past() -> None:
    past = train_sequences(WORLD, split_at(WORLD, 5, 7))
    assert past.indptr.tolist() == [0, 2, 3, 4, 4, 4]
    assert past.items.tolist() == [0, 1, 1, 2]
    assert event_matrix(past, 5).toarray()[:3].tolist() == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]


def test_a_matrix_sums_the_weights_of_repeated_events() -> None:
    weights = np.array([1, 2, 4, 8, 1, 1, 1, 1, 1], dtype=np.float32)
    assert event_matrix(WORLD, 5, weights).toarray()[0].tolist() == [5, 2, 8, 0, 0]
    assert WORLD.items[:4].tolist() == [0, 1, 0, 2]  # summed in a copy
    with pytest.raises(ModelError, match=r"one weight an event \(9,\), got \(2,\)"):
        event_matrix(WORLD, 5, weights[:2])


def test_the_last_share_takes_ties_along() -> None:
    assert split_last(WORLD, 5, 2 / 9).boundary == 9
    assert split_last(WORLD, 5, 1 / 9).boundary == 9  # two events at 9 stay together
    assert split_last(WORLD, 5, 0.5).boundary == 7


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=8), min_size=1, max_size=6)
)
def test_no_training_event_is_later_than_a_test_event(users: list[list[tuple[int, int]]]) -> None:
    world = sequences(*[sorted(user, key=lambda event: event[1]) for user in users])
    try:
        split = split_last(world, 7, 0.3)
    except ModelError:
        assert (
            len(np.unique(world.timestamps)) < 2 or (world.timestamps == world.timestamps.min()).mean() > 0.5
        )
        return
    assert world.timestamps[split.train].max() < world.timestamps[~split.train].min()
    assert (~split.train).mean() >= 0.3 - 1 / len(split.train)
    past = event_matrix(train_sequences(world, split), 7)
    assert not past.multiply(split.test).nnz
    assert past.nnz + split.test.nnz == event_matrix(world, 7).nnz
    assert split.repeats + split.test.nnz == event_matrix(
        Sequences(
            np.concatenate(([0], np.cumsum(~split.train)))[world.indptr],
            world.items[~split.train],
            world.timestamps[~split.train],
        ),
        7,
    ).nnz  # fmt: skip


@pytest.mark.parametrize(
    ("boundary", "message"), [(1, "on both sides of 1, got none before"), (10, "got none from")]
)
def test_a_side_without_events_is_an_error(boundary: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        split_at(WORLD, 5, boundary)


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ModelError, match="between 0 and 1"):
        split_last(WORLD, 5, share)


def test_no_events_cannot_be_split() -> None:
    with pytest.raises(ModelError, match="expected events to split"):
        split_last(sequences([]), 5, 0.5)
