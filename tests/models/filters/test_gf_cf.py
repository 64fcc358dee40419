"""GF-CF, against values worked by hand and a dense computation."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.filters.gf_cf import GFCF, GFCFConfig
from models.options import TrainingOptions


def test_the_linear_filter_worked_by_hand() -> None:
    """Users {0, 1}, {0, 1, 2}, {2}: R~ has 1 / (user's items * item's users)^.5 where there is a 1."""
    world = Dataset(matrix([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0]]))  # nobody has item 3
    model = GFCF(GFCFConfig(ideal=0.0, half_life_days=None)).fit(world)
    both = 1 / (2 * 2) + 1 / (3 * 2)  # over both users: 1 / (items of the user * 2 users of each item)
    shared = 1 / (3 * 2)
    expected = [
        [both, both, shared, 0],
        [2 * shared, 2 * shared, 2 * (1 / (3 * 2) + 1 / (1 * 2)), 0],
        [0, 0, 0, 0],
    ]
    histories = Histories(matrix([[1, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]))
    np.testing.assert_allclose(model.scores(histories), expected, rtol=1e-6)
    assert model.similar_items(np.array([0, 3]), 3).items.tolist() == [[1, 2, -1], [-1, -1, -1]]
    reasons = model.reasons(np.array([[1, 2, -1]], np.int32), Histories(matrix([[1, 0, 1, 0]])))
    assert reasons.tolist() == [[0, 0, -1]]  # an item is no reason for itself


@pytest.mark.parametrize(("ideal", "threads"), [(0.3, 1), (2.0, 3)])
def test_scores_equal_a_dense_computation(ideal: float, threads: int) -> None:
    world = random_world()
    config = GFCFConfig(factors=400, ideal=ideal, half_life_days=None)  # all directions: they span R~
    model = GFCF(config).fit(world, TrainingOptions(threads=threads))
    dense = world.matrix.toarray().astype(np.float64)
    users, items = dense.sum(axis=1, keepdims=True), dense.sum(axis=0)
    spread = dense / np.sqrt(np.maximum(users, 1e-9)) / np.sqrt(np.maximum(items, 1e-9))
    _, values, directions = np.linalg.svd(spread, full_matrices=False)
    kept = directions[values > 1e-4]
    roots = np.sqrt(np.maximum(items, 1e-9))
    passed = (kept.T @ kept) / roots[:, None] * roots
    expected = dense @ (spread.T @ spread + ideal * passed)
    np.testing.assert_allclose(model.scores(world.histories), expected, rtol=2e-3, atol=2e-3)


def test_a_catalogue_beyond_the_limit_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(
        ModelError, match=r"gf_cf is left out: \d+ items are more than models\.gf_cf\.largest, 5"
    ):
        GFCF(GFCFConfig(largest=5)).fit(random_world())
