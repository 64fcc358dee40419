"""Splits of events into training and test."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dataset import Sequences
from models.errors import ModelError
from models.splitting.split import (
    RandomSplitWarning,
    event_matrix,
    leave_last_out,
    rolling,
    split_at,
    split_between,
    split_last,
    split_randomly,
    split_with_validation,
    to_sequences,
    train_sequences,
)


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
    [(1, 3), (3, 7), (3, 9)],  # takes item 3 twice, which is in no training event
    [(2, 4)],  # nothing after the boundary
    [(0, 7)],  # arrives after the boundary
    [],
)


def test_events_from_the_boundary_on_are_the_test_and_all_are_counted() -> None:
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
    assert split.warm_users.tolist() == [0]  # user 1 only has a cold item, user 3 is cold
    assert split.warm.toarray().tolist()[0] == [0, 0, 1, 0, 0]
    assert split.counts == {
        "train_events": 4,
        "test_events": 5,
        "unused_events": 0,
        "test_pairs": 3,
        "repeated_pairs": 1,
        "cold_pairs": 2,
        "cold_users": 1,
        "cold_items": 1,
        "warm_users": 1,
    }


def test_training_sequences_and_their_matrix_hold_only_the_past() -> None:
    past = train_sequences(WORLD, split_at(WORLD, 5, 7))
    assert past.indptr.tolist() == [0, 2, 3, 4, 4, 4]
    assert past.items.tolist() == [0, 1, 1, 2]
    assert event_matrix(past, 5).toarray()[:3].tolist() == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]]


def test_a_matrix_sums_the_weights_of_repeated_events() -> None:
    weights = np.array([1, 2, 4, 8, 1, 1, 1, 1, 1], dtype=np.float32)
    assert event_matrix(WORLD, 5, weights).toarray()[0].tolist() == [5, 2, 8, 0, 0]
    assert WORLD.items[:4].tolist() == [0, 1, 0, 2]  # summed in a copy
    with pytest.raises(ModelError, match=r"one weight per event \(9,\), got \(2,\)"):
        event_matrix(WORLD, 5, weights[:2])


def test_the_last_share_includes_ties() -> None:
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
def test_a_part_without_events_is_an_error(boundary: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        split_at(WORLD, 5, boundary)


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ModelError, match="between 0 and 1"):
        split_last(WORLD, 5, share)


def test_splitting_no_events_is_an_error() -> None:
    with pytest.raises(ModelError, match="expected events to split"):
        split_last(sequences([]), 5, 0.5)


def test_events_are_sorted_by_time_then_position_then_input_order() -> None:
    users, items = np.array([1, 0, 1, 0, 0, 1]), np.array([10, 11, 12, 13, 14, 15])
    times = np.array([5, 7, 5, 7, 6, 4])
    ordered, order = to_sequences(users, items, times, 3)
    assert ordered.indptr.tolist() == [0, 3, 6, 6]
    assert ordered.items.tolist() == [14, 11, 13, 15, 10, 12]
    assert ordered.timestamps.tolist() == [6, 7, 7, 4, 5, 5]
    assert items[order].tolist() == ordered.items.tolist()
    positions = np.array([9, 2, 3, 1, 0, 0])
    assert to_sequences(users, items, times, 3, positions)[0].items.tolist() == [14, 13, 11, 15, 12, 10]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_any_unit_are_ordered_and_cut_as_microseconds(unit: str) -> None:
    users, items = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    times = np.array(["2026-11-20", "2000-01-01", "2026-11-19", "2026-11-21"], dtype=f"datetime64[{unit}]")
    world, _ = to_sequences(users, items, times, 2)
    assert world.items.tolist() == [1, 0, 0, 1]
    assert world.timestamps[0] == 946_684_800 * 10**6
    cut = datetime(2026, 11, 20, tzinfo=UTC)
    for boundary in (cut, np.datetime64("2026-11-20", unit), world.timestamps[1]):
        split = split_at(world, 2, boundary)
        assert split.tested.tolist() == [False, True, False, True]
        assert split.boundary == world.timestamps[1]
    assert [part.boundary for part in rolling(world, 2, [cut])] == [world.timestamps[1]]
    with pytest.raises(ModelError, match="expected a timestamp as a datetime, a datetime64 or whole"):
        split_at(world, 2, 1.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": np.array([0, 2])}, "expected users from 0 to below 2, got 0 to 2"),
        (
            {"users": np.array([0.0, 1.0])},
            r"users as an array of 2 integers, one per event, got float64 \(2,\)",
        ),
        ({"items": np.array([0, 2**31])}, "expected items from 0 to below 2147483648, got 0 to 2147483648"),
        ({"items": np.array([0])}, r"items as an array of 2 integers, one per event, got int64 \(1,\)"),
        ({"position": np.array([0, np.nan])}, r"positions as an array of 2 integers.* got float64 \(2,\)"),
        ({"timestamps": np.array([0.0, 1.0])}, r"expected timestamps as .* got float64 \(2,\)"),
    ],
)
def test_invalid_event_arrays_are_refused(change: dict[str, Any], message: str) -> None:
    events: dict[str, Any] = {
        "users": np.array([0, 1]),
        "items": np.array([0, 1]),
        "timestamps": np.array([5, 6]),
    }
    with pytest.raises(ModelError, match=message):
        to_sequences(**events | change, n_users=2)


def test_a_validation_window_lies_between_training_and_test() -> None:
    validation, test = split_with_validation(WORLD, 5, 2 / 9, 2 / 7)
    assert (validation.boundary, test.boundary) == (7, 9)
    assert WORLD.timestamps[validation.train].tolist() == [1, 2, 3, 4]
    assert sorted(WORLD.timestamps[validation.tested].tolist()) == [7, 7, 8]
    assert validation.counts["unused_events"] == 2
    assert not (validation.tested & test.tested).any()
    assert not (validation.train & ~test.train).any()


def test_rolling_cut_offs_test_successive_windows() -> None:
    first, second = rolling(WORLD, 5, [3, 8])
    assert sorted(WORLD.timestamps[first.tested].tolist()) == [3, 4, 7, 7]
    assert sorted(WORLD.timestamps[second.tested].tolist()) == [8, 9, 9]
    assert second.train.sum() == first.train.sum() + first.tested.sum()
    assert [split.tested.sum() for split in rolling(WORLD, 5, [3, 8], horizon=2)] == [2, 3]
    with pytest.raises(ModelError, match=r"ascending cut-offs, got \[8, 3\]"):
        rolling(WORLD, 5, [8, 3])
    with pytest.raises(ModelError, match="on both sides of 5, got none from it"):
        split_between(WORLD, 5, 5, 7)


def test_the_last_event_of_every_user_with_two_is_left_out() -> None:
    split = leave_last_out(WORLD, 5)
    assert split.tested.tolist() == [False, False, False, True, False, False, True, False, False]
    assert split.train.tolist() == [True, True, True, False, True, True, False, True, True]
    assert split.repeats == 1  # user 1 took item 3 again
    assert split.test.toarray()[0].tolist() == [0, 0, 1, 0, 0]
    assert split.boundary is None
    assert not split.cold_items[2]  # user 2 trained on it


def test_the_validation_split_never_trains_on_test_events() -> None:
    world = sequences([(0, 1), (1, 2), (2, 3), (3, 4)], [(0, 1), (1, 2)], [(2, 1)])
    test, validation = leave_last_out(world, 4), leave_last_out(world, 4, skip=1)
    assert test.tested.tolist() == [False, False, False, True, False, True, False]
    assert validation.tested.tolist() == [False, False, True, False, False, False, False]
    assert validation.train.tolist() == [True, True, False, False, True, False, True]
    assert leave_last_out(world, 4, last=2).tested.tolist() == [False, False, True, True] + [False] * 3
    with pytest.raises(ModelError, match="a user with more than 4 events"):
        leave_last_out(world, 4, last=4)


def test_a_random_split_warns_and_keeps_a_pair_together() -> None:
    rng = np.random.default_rng(0)
    world = sequences(*[[(item, t) for t, item in enumerate(rng.integers(0, 30, 40))] for _ in range(20)])
    with pytest.warns(RandomSplitWarning, match="learn from the future"):
        split = split_randomly(world, 30, 0.2, seed=1)
    with pytest.warns(RandomSplitWarning):
        same = split_randomly(world, 30, 0.2, seed=1)
    with pytest.warns(RandomSplitWarning):
        different = split_randomly(world, 30, 0.2, seed=2)
    np.testing.assert_array_equal(split.tested, same.tested)
    assert (split.tested != different.tested).any()
    assert (split.train == ~split.tested).all()
    assert split.repeats == 0
    pairs = np.diff(event_matrix(world, 30).indptr)
    np.testing.assert_array_equal(np.diff(split.test.indptr), (0.2 * pairs).astype(int))


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=8), min_size=1, max_size=6),
    st.integers(1, 8),
)
def test_users_and_items_that_appear_after_the_cut_change_nothing_for_others(
    users: list[list[tuple[int, int]]], cut: int
) -> None:
    users = [sorted(user, key=lambda event: event[1]) for user in users]
    now = sequences(*users, [(7, 0), (6, 9)])
    later = sequences(*users, [(7, 0), (6, 9)], [(0, 9), (9, 9)])  # a new user, a new item
    before, after = split_at(now, 10, cut), split_at(later, 10, cut)
    known = len(now)
    np.testing.assert_array_equal(after.warm.toarray()[:known], before.warm.toarray())
    assert not after.warm.toarray()[known:].any()
    np.testing.assert_array_equal(after.warm_users, before.warm_users)
    assert after.counts["cold_users"] == before.counts["cold_users"] + 1
