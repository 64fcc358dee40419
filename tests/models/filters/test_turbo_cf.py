"""Turbo-CF, against a dense computation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.filters.turbo_cf import TurboCF, TurboCFConfig
from models.options import TrainingOptions


def test_the_second_order_worked_by_hand() -> None:
    """Two users with one item each: P is the identity, and so is 2 P - P P."""
    world = Dataset(matrix([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]))
    for order in (1, 2):
        model = TurboCF(TurboCFConfig(order=order, half_life_days=None)).fit(world)  # type: ignore[arg-type]
        histories = Histories(matrix([[1, 2, 0], [0, 0, 3]]))
        np.testing.assert_allclose(model.scores(histories), [[1, 2, 0], [0, 0, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("alpha", "power", "order", "threads"), [(0.5, 1.0, 1, 1), (0.7, 0.6, 1, 3), (0.4, 1.3, 2, 3)]
)
def test_scores_equal_a_dense_computation(
    alpha: float, power: float, order: Literal[1, 2], threads: int
) -> None:
    world = random_world()
    config = TurboCFConfig(alpha=alpha, power=power, order=order, half_life_days=None)
    model = TurboCF(config).fit(world, TrainingOptions(threads=threads))
    dense = world.matrix.toarray().astype(np.float64)
    users, items = np.maximum(dense.sum(axis=1, keepdims=True), 1e-9), np.maximum(dense.sum(axis=0), 1e-9)
    spread = dense * users**-alpha * items ** (alpha - 1)
    similar = (spread.T @ spread) ** power
    filtered = similar if order == 1 else 2 * similar - similar @ similar
    np.testing.assert_allclose(model.scores(world.histories), dense @ filtered, rtol=1e-3, atol=1e-4)
