"""Rolling windows: which events are before and in each, by hand, and nothing of what follows."""

from __future__ import annotations

import numpy as np
import pytest

from models.dataset import Dataset
from models.evaluation.window import Window, losses, rolling_cuts, rolling_windows, sampled, sampled_size
from models.options import Size
from models.splitting.split import event_matrix, to_sequences


def log(users: list[int], items: list[int], times: list[int]) -> Dataset:
    """Return a data set of events; the weight of a pair is its number of events."""
    columns = (np.array(users, np.int64), np.array(items, np.int64), np.array(times, np.int64))
    sequences, _ = to_sequences(*columns, max(users) + 1)
    return Dataset(event_matrix(sequences, max(items) + 1), sequences)


def random_log(seed: int = 0) -> Dataset:
    """Return 2,000 events of 100 users and 40 items over 1,000 microseconds."""
    random = np.random.default_rng(seed)
    return log(*(random.integers(0, high, 2_000).tolist() for high in (100, 40, 1_000)))


def test_the_windows_divide_the_last_two_fifths_of_the_events() -> None:
    assert rolling_cuts(np.arange(10)) == [(6, 7), (7, 8), (8, 9), (9, 10)]
    assert rolling_cuts(np.arange(20) ** 2) == [(144, 196), (196, 256), (256, 324), (324, 362)]


def test_windows_that_would_start_at_the_same_time_are_one() -> None:
    assert rolling_cuts(np.array([0, 1, 2, 3, 4, 5, 6, 8, 8, 8])) == [(6, 8), (8, 9)]
    assert rolling_cuts(np.zeros(5, np.int64)) == [(0, 1)]


def test_known_users_and_items_of_a_window_by_hand() -> None:
    """From 10 to 19, user 0 takes up item 2; 1 repeats; 2 takes up an unknown item; 3 is new."""
    users, items = [0, 0, 1, 2, 0, 1, 2, 3, 1], [0, 1, 1, 2, 2, 1, 3, 0, 2]
    times = [0, 1, 2, 3, 10, 12, 13, 14, 20]
    found = Window.of(log(users, items, times), 10, 20)
    assert found is not None
    assert found.users.tolist() == [0]
    assert found.relevant.toarray().tolist() == [[0, 0, 1, 0]]
    assert found.histories.matrix.toarray().tolist() == [[1, 1, 0, 0]]
    assert found.past.matrix.toarray()[:3].tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]]
    assert Window.of(log(users, items, times), 0, 10) is None
    assert Window.of(log(users, items, times), 12, 13) is None


def test_no_window_knows_what_follows_its_start() -> None:
    data = random_log()
    assert data.sequences is not None
    cuts = rolling_cuts(data.sequences.timestamps)
    windows = rolling_windows(data)
    assert len(windows) == len(cuts) == 4
    for (start, stop), found in zip(cuts, windows, strict=True):
        assert found.past.sequences is not None
        assert found.past.sequences.timestamps.max() < start
        kept = data.sequences.timestamps < stop
        owner = np.repeat(np.arange(100), data.sequences.lengths)[kept]
        parts = (data.sequences.items[kept], data.sequences.timestamps[kept])
        until = log(owner.tolist(), *(part.tolist() for part in parts))
        known = event_matrix(until.sequences, 40) if until.sequences else None
        assert known is not None
        assert found.relevant.multiply(known[found.users] > 0).sum() == found.relevant.sum()
        assert found.relevant.multiply(found.histories.matrix).nnz == 0


def test_too_few_users_or_no_times_give_no_windows() -> None:
    assert rolling_windows(Dataset(random_log().matrix)) == []
    assert rolling_windows(log([0, 1] * 20, list(range(20)) * 2, list(range(40)))) == []


def test_of_a_large_log_evenly_spread_users_are_taken() -> None:
    data = random_log()
    half = data.matrix.nnz // 2
    assert sampled(data) is data
    assert sampled(data, half).n_users == 50
    size = sampled_size(Size(100, 40, data.matrix.nnz, 900.0), half)
    assert (size.users, size.items, size.pairs) == (50, 40, half)
    assert size.products == pytest.approx(450.0, rel=0.01)
    few = rolling_windows(data, half // 2)
    assert all(half / 3 < found.past.matrix.nnz < half for found in few)
    assert [len(found.users) for found in few] == [len(found.users) for found in rolling_windows(data)]


def test_the_error_of_a_difference_counts_a_user_of_two_windows_once() -> None:
    """The differences 1 0 0 0 have the mean 1/4; without it, the sums by user are 1/2 -1/4 -1/4."""
    values = np.array([[0.0, 0, 1, 0], [1, 0, 1, 0]])
    loss, error = losses(values, np.array([7, 7, 8, 9]))
    assert loss.tolist() == [0.25, 0.0]
    assert error.tolist() == [pytest.approx(0.375**0.5 / 4), 0.0]
    alone = losses(values, np.arange(4))[1]
    assert alone.tolist() == [pytest.approx(0.75**0.5 / 4), 0.0]
