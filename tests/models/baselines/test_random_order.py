"""Random lists: uniform, determined by the seed, and different for each user."""

from __future__ import annotations

import numpy as np

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.options import TrainingOptions
from models.registry import create


def histories(n_users: int, n_items: int) -> Histories:
    return Histories(matrix(np.random.default_rng(2).random((n_users, n_items)) < 0.1))


def test_random_scores_are_uniform_and_uncorrelated_between_users() -> None:
    world = histories(400, 300)
    scores = create("random").fit(Dataset(world.matrix), TrainingOptions(seed=3)).scores(world)
    ordered, n = np.sort(scores.ravel()), scores.size
    gap = max(np.abs(ordered - np.arange(n) / n).max(), np.abs(ordered - np.arange(1, n + 1) / n).max())
    assert gap < 1.628 / np.sqrt(n)  # Kolmogorov-Smirnov at 1 %
    between = np.corrcoef(scores)[np.triu_indices(400, 1)]
    assert abs(between.mean()) < 0.002
    assert np.abs(between).max() < 0.35  # 6 standard deviations of 1 / sqrt(300)
    items = np.corrcoef(scores.T)[np.triu_indices(300, 1)]
    assert np.abs(items).max() < 0.32


def test_random_lists_show_all_items_about_equally_often() -> None:
    world = histories(3000, 60)
    model = create("random").fit(Dataset(world.matrix), TrainingOptions(seed=3))
    items = model.recommend(world, 6).items
    shown = np.bincount(items[items >= 0], minlength=60)
    expected = 6 * (~world.empty).sum() / 60
    assert (np.abs(shown - expected) < 5 * expected**0.5).all()


def test_the_seed_determines_the_order() -> None:
    world = random_world()
    first, same, different = (
        create("random").fit(world, TrainingOptions(seed=seed)).recommend(world.histories, 10).items
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != different).mean() > 0.8
