"""Random walks of three steps, against values worked by hand and a dense computation."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.neighbours.random_walk import RP3Beta, RP3BetaConfig
from models.options import TrainingOptions

# users {0, 1, 2}, {0, 1}, {2}, {3}: items 0, 1 and 2 have two users, item 3 has one
WORLD = Dataset(matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))


def walk(**settings: float) -> RP3Beta:
    config = RP3BetaConfig(**{"alpha": 1, "beta": 0, "neighbours": 3} | settings)  # type: ignore[arg-type]
    return RP3Beta(config).fit(WORLD)


def test_probabilities_of_walks_worked_by_hand() -> None:
    model = walk()  # P3alpha
    # from 1 to 0: over user 0, 1/2 * 1/3, and over user 1, 1/2 * 1/2; from 2 to 0: 1/2 * 1/3
    expected = [[0, 5 / 12, 1 / 6, 0], [5 / 12, 0, 1 / 6, 0], [1 / 6, 1 / 6, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(model.scores(Histories(matrix(np.eye(4).tolist()))), expected, rtol=1e-6)
    assert model.similar_items(np.arange(4), 2).items.tolist() == [[1, 2], [0, 2], [0, 1], [-1, -1]]


def test_alpha_is_an_exponent_of_each_step_and_beta_divides_by_popularity() -> None:
    history = Histories(matrix([[0, 0, 2, 0]]))
    np.testing.assert_allclose(walk(alpha=0.5).scores(history)[0, :2], [2 * (1 / 6) ** 0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(walk(beta=0.8).scores(history)[0, :2], [2 / 6 / 2**0.8] * 2, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "beta", "threads"), [(1.0, 0.6, 1), (0.4, 0.0, 3)])
def test_scores_equal_a_dense_computation(
    alpha: float, beta: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.ranking.nearest.ROWS", 16)  # several calls
    world = random_world()
    config = RP3BetaConfig(alpha=alpha, beta=beta, neighbours=7, half_life_days=None)
    model = RP3Beta(config).fit(world, TrainingOptions(threads=threads))
    weights = world.matrix.toarray().astype(np.float64)
    to_item = (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)) ** alpha
    to_user = (weights / np.maximum(weights.sum(axis=0, keepdims=True), 1e-9)) ** alpha
    walks = to_item.T @ to_user  # (target, from)
    walks /= np.maximum(weights.sum(axis=0), 1e-9)[:, None] ** beta
    np.fill_diagonal(walks, 0)
    near = np.where(walks >= -np.sort(-walks, axis=1)[:, [6]], walks, 0)
    np.testing.assert_allclose(model.scores(world.histories), weights @ near.T, rtol=1e-4, atol=1e-6)
