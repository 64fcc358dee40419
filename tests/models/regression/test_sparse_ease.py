"""Sparse EASE, against values worked by hand and regressions solved one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.regression.ease import EASE, EASEConfig
from models.regression.sparse_ease import SparseEASE, SparseEASEConfig

Doubles = npt.NDArray[np.float64]


def sparse_ease(dataset: Dataset, **config: Any) -> SparseEASE:
    plain = {"half_life_days": None, "penalty": 1.0} | config
    return SparseEASE(SparseEASEConfig(**plain)).fit(dataset)


def learned_weights(model: SparseEASE) -> npt.NDArray[np.float32]:
    """Return B: the scores of histories of one item each."""
    return model.scores(Histories(matrix(np.eye(model.n_items))))


def regressions(dataset: Dataset, penalty: float, neighbours: int) -> Doubles:
    """Return the weights of one ridge regression for each item, on its neighbours."""
    dense = dataset.matrix.toarray().astype(np.float64)
    ridge = penalty * np.square(dense).sum() / (dense.sum(axis=1) > 0).sum()
    products, items = dense.T @ dense, dataset.n_items
    near = products / np.sqrt(np.diag(products) + ridge)
    np.fill_diagonal(near, 0)
    weights = np.zeros((items, items))
    for item in range(items):
        others = np.argsort(-near[item], kind="stable")[:neighbours]
        others = others[near[item, others] > 0]
        given = products[np.ix_(others, others)] + ridge * np.eye(len(others))
        weights[others, item] = np.linalg.solve(given, products[others, item])
    return weights


def test_weights_worked_by_hand() -> None:
    # items 0 and 1 share user 1, items 1 and 2 share user 2: X'X = [[2, 1, 0], [1, 2, 1], [0, 1, 2]];
    # 6 entries of 4 users: with a penalty of 2, l = 3. Each of items 0 and 2 has one neighbour:
    # x_0'x_1 / (x_1'x_1 + l). Item 1 has both, which share nobody: the same for each
    world = Dataset(matrix([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]]))
    expected = 1 / (2 + 3)
    weights = learned_weights(sparse_ease(world, penalty=2.0))
    np.testing.assert_allclose(weights, expected * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]), rtol=1e-6)
    # with one neighbour an item, item 1 keeps the first of two that are equally near
    weights = learned_weights(sparse_ease(world, penalty=2.0, neighbours=1))
    np.testing.assert_allclose(weights, expected * np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]]), rtol=1e-6)


@pytest.mark.parametrize("neighbours", [1, 5, 19, 200])
@pytest.mark.parametrize("penalty", [0.01, 0.3, 5.0])
def test_each_item_is_regressed_on_its_neighbours(neighbours: int, penalty: float) -> None:
    world = random_world(60, 20)
    model = sparse_ease(world, penalty=penalty, neighbours=neighbours)
    expected = regressions(world, penalty, neighbours)
    np.testing.assert_allclose(learned_weights(model), expected, atol=1e-5)
    scores = model.scores(world.histories)
    np.testing.assert_allclose(scores, world.matrix @ expected, atol=1e-4)


@settings(max_examples=40)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31), st.floats(0.01, 50.0), st.integers(1, 12)
)
def test_any_matrix_is_regressed(users: int, items: int, seed: int, penalty: float, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    dense = (rng.random((users, items)) < 0.5) * rng.normal(3, 0.5, (users, items))  # no two are equally near
    dense[0, 0] = 1
    world = Dataset(matrix(dense))
    model = sparse_ease(world, penalty=penalty, neighbours=neighbours)
    np.testing.assert_allclose(learned_weights(model), regressions(world, penalty, neighbours), atol=1e-4)


def test_with_all_neighbours_it_is_ease() -> None:
    dense = np.random.default_rng(5).integers(1, 4, (50, 12)) * (
        np.random.default_rng(6).random((50, 12)) < 0.6
    )
    world = Dataset(matrix(dense))
    ease = EASE(EASEConfig(half_life_days=None, penalty=1.0)).fit(world)
    model = sparse_ease(world, neighbours=11)
    assert (np.delete(learned_weights(model).ravel(), np.arange(0, 144, 13)) != 0).all()
    np.testing.assert_allclose(model.scores(world.histories), ease.scores(world.histories), atol=1e-4)
