"""Recent popularity, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix
from models.dataset import Dataset, Sequences
from models.errors import ModelError
from models.registry import create

DAY = 86_400 * 10**6


def dated(weights: list[list[float]], *users: list[tuple[int, float]]) -> Dataset:
    """Return a data set with sequences given as (item, day) pairs per user."""
    events = [event for user in users for event in user]
    return Dataset(
        matrix(weights),
        Sequences(
            np.cumsum([0, *map(len, users)], dtype=np.int64),
            np.array([item for item, _ in events], dtype=np.int32),
            np.array([day * DAY for _, day in events], dtype=np.int64),
        ),
    )


WORLD = dated(
    [[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0]],
    [(0, 0), (0, 10), (1, 20), (3, 30)],  # item 0: the last event counts; item 3 has no weight
    [(0, 10), (2, 30)],
    [(1, 0), (2, 20)],
)


def test_a_user_counts_half_after_a_half_life() -> None:
    model = create("recent_popularity", {"half_life_days": 10}).fit(WORLD)
    np.testing.assert_allclose(
        model.scores(WORLD.histories)[1], [2 * 2**-2, 2**-1 + 2**-3, 1 + 2**-1, 0], rtol=1e-6
    )


def test_a_window_leaves_out_older_events() -> None:
    model = create("recent_popularity", {"half_life_days": None, "window_days": 15}).fit(WORLD)
    assert model.scores(WORLD.histories)[0].tolist() == [0, 1, 2, 0]
    assert model.recommend(WORLD.histories, 3).items[0].tolist() == [2, 1, -1]
    both = create("recent_popularity", {"half_life_days": 10, "window_days": 15}).fit(WORLD)
    np.testing.assert_allclose(both.scores(WORLD.histories)[0], [0, 0.5, 1.5, 0])


def test_recent_popularity_needs_timestamps_and_a_recency_setting() -> None:
    with pytest.raises(ModelError, match="expected sequences with timestamps"):
        create("recent_popularity").fit(Dataset(WORLD.matrix))
    with pytest.raises(ModelError, match="half_life_days or window_days"):
        create("recent_popularity", {"half_life_days": None})
    strangers = dated([[1, 0, 0, 0]], [(3, 1)])
    with pytest.raises(ModelError, match="events of the trained pairs"):
        create("recent_popularity").fit(strangers)
