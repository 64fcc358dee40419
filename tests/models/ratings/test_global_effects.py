"""Global effects, against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.ratings.global_effects import GlobalEffects, GlobalEffectsConfig

RATINGS = [[5, 3, 0], [4, 0, 1], [0, 2, 1]]  # mean 16 / 6


def test_biases_without_damping_of_the_users_are_means() -> None:
    """With users damped to 0, an item's bias is its sum of deviations over n + damping."""
    config = GlobalEffectsConfig(user_damping=1e12, item_damping=2.0)
    model = GlobalEffects(config).fit(Dataset(matrix(RATINGS)))
    mean = 16 / 6
    expected = [(9 - 2 * mean) / 4, (5 - 2 * mean) / 4, (2 - 2 * mean) / 4]
    predictions = model.predict(Histories(matrix(np.zeros((1, 3)))), np.zeros(3, np.int64), np.arange(3))
    np.testing.assert_allclose(predictions, mean + np.array(expected), rtol=1e-5)


def test_users_and_items_solve_each_other() -> None:
    """At the end, neither side's equation moves the other: both hold at once."""
    config = GlobalEffectsConfig(user_damping=1.0, item_damping=2.0)
    dataset = Dataset(matrix(RATINGS))
    model = GlobalEffects(config).fit(dataset)
    known, mean = np.array(RATINGS) > 0, 16 / 6
    items = model.scores(Histories(matrix(np.zeros((1, 3)))))[0] - mean
    rest = np.where(known, np.array(RATINGS) - mean, 0)
    users = np.where(known, rest - items, 0).sum(axis=1) / (2 + 1.0)
    np.testing.assert_allclose(
        np.where(known, rest - users[:, None], 0).sum(axis=0) / (2 + 2.0), items, atol=1e-4
    )
    np.testing.assert_allclose(model.scores(dataset.histories), mean + users[:, None] + items, rtol=1e-4)


def test_the_dampings_are_learned_from_the_variances() -> None:
    """Users differ by 1 and items by 0.25 around errors of 1: dampings of 1 and 16, about."""
    rng = np.random.default_rng(0)
    ratings = 20 + rng.standard_normal((400, 1)) + 0.25 * rng.standard_normal((1, 300))
    ratings += rng.standard_normal(ratings.shape)
    model = GlobalEffects().fit(Dataset(matrix(ratings * (rng.random(ratings.shape) < 0.2))))
    assert model.report["user_damping"] == pytest.approx(1, rel=0.3)
    assert model.report["item_damping"] == pytest.approx(16, rel=0.3)


def test_biases_that_do_not_exist_are_damped_away() -> None:
    rng = np.random.default_rng(0)
    model = GlobalEffects().fit(Dataset(matrix(rng.integers(1, 6, (200, 100)))))
    scores = model.scores(Histories(matrix(np.zeros((1, 100)))))
    assert np.ptp(scores) < 0.2


def test_a_changed_damping_is_refused() -> None:
    model = GlobalEffects().fit(Dataset(matrix(RATINGS)))
    for damping in (np.array([-1.0]), np.array([np.nan]), np.array([1.0, 2.0])):
        with pytest.raises(ModelError, match="expected a user_damping"):
            model._restore(model._arrays() | {"user_damping": damping})
