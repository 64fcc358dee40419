"""The floors: recent popularity by hand, and random that is even, fixed by its seed and nobody's copy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError
from models.options import TrainingOptions
from models.registry import create

DAY = 86_400 * 10**6


def dated(weights: list[list[float]], *users: list[tuple[int, float]]) -> Dataset:
    """Return a data set with sequences given as (item, day) a user."""
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
    [(0, 0), (0, 10), (1, 20), (3, 30)],  # item 0 twice: its last counts; item 3 has no weight
    [(0, 10), (2, 30)],
    [(1, 0), (2, 20)],
)


def test_a_user_counts_half_after_a_half_life() -> None:
    model = create("recent_popularity", {"half_life_days": 10}).fit(WORLD)
    np.testing.assert_allclose(
        model.scores(WORLD.histories)[1], [2 * 2**-2, 2**-1 + 2**-3, 1 + 2**-1, 0], rtol=1e-6
    )


def test_a_window_leaves_out_what_is_older() -> None:
    model = create("recent_popularity", {"half_life_days": None, "window_days": 15}).fit(WORLD)
    assert model.scores(WORLD.histories)[0].tolist() == [0, 1, 2, 0]
    assert model.recommend(WORLD.histories, 3).items[0].tolist() == [2, 1, -1]
    both = create("recent_popularity", {"half_life_days": 10, "window_days": 15}).fit(WORLD)
    np.testing.assert_allclose(both.scores(WORLD.histories)[0], [0, 0.5, 1.5, 0])


def test_it_needs_timestamps_and_something_recent() -> None:
    with pytest.raises(ModelError, match="expected sequences with timestamps"):
        create("recent_popularity").fit(Dataset(WORLD.matrix))
    with pytest.raises(ModelError, match="half_life_days or window_days"):
        create("recent_popularity", {"half_life_days": None})
    strangers = dated([[1, 0, 0, 0]], [(3, 1)])
    with pytest.raises(ModelError, match="events of the trained pairs"):
        create("recent_popularity").fit(strangers)


def histories(n_users: int, n_items: int) -> Histories:
    return Histories(matrix(np.random.default_rng(2).random((n_users, n_items)) < 0.1))


def test_random_scores_are_even_and_unlike_those_of_others() -> None:
    world = histories(400, 300)
    scores = create("random").fit(Dataset(world.matrix), TrainingOptions(seed=3)).scores(world)
    assert stats.kstest(scores.ravel(), "uniform").pvalue > 0.01
    between = np.corrcoef(scores)[np.triu_indices(400, 1)]
    assert abs(between.mean()) < 0.002
    assert np.abs(between).max() < 0.35  # 6 standard deviations of 1 / sqrt(300)
    items = np.corrcoef(scores.T)[np.triu_indices(300, 1)]
    assert np.abs(items).max() < 0.32


def test_random_lists_show_every_item_about_as_often() -> None:
    world = histories(3000, 60)
    model = create("random").fit(Dataset(world.matrix), TrainingOptions(seed=3))
    items = model.recommend(world, 6).items
    shown = np.bincount(items[items >= 0], minlength=60)
    expected = 6 * (~world.empty).sum() / 60
    assert (np.abs(shown - expected) < 5 * expected**0.5).all()


def test_the_seed_decides_the_order() -> None:
    world = random_world()
    one, same, other = (
        create("random").fit(world, TrainingOptions(seed=seed)).recommend(world.histories, 10).items
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.8
