"""SLIM, against values worked by hand and the conditions of its minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.regression.slim import SLIM, SLIMConfig
from models.regression.sparse_ease import SparseEASE, SparseEASEConfig

Doubles = npt.NDArray[np.float64]


def slim(dataset: Dataset, **config: Any) -> SLIM:
    plain = {"half_life_days": None, "penalty": 1.0, "sparsity": 0.0} | config
    return SLIM(SLIMConfig(**plain)).fit(dataset)


def learned_weights(model: SLIM) -> npt.NDArray[np.float32]:
    """Return W: the scores of histories of one item each."""
    return model.scores(Histories(matrix(np.eye(model.n_items))))


def noise(users: int, items: int, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    dense = (rng.random((users, items)) < 0.5) * rng.normal(3, 1, (users, items)).clip(0.5)
    dense[0, 0] = 1
    return Dataset(matrix(dense))


def test_weights_worked_by_hand() -> None:
    # items 0 and 1 share a user: x_0'x_1 = 1, x_0'x_0 = x_1'x_1 = 2; 4 entries of 3 users: s = 4 / 3
    world = Dataset(matrix([[1, 0], [1, 1], [0, 1]]))
    unit = 4 / 3
    for sparsity in (0.0, 0.3, 0.7):
        expected = (1 - sparsity * unit) / (2 + 3 * unit)
        weights = learned_weights(slim(world, penalty=3.0, sparsity=sparsity))
        np.testing.assert_allclose(weights, [[0, expected], [expected, 0]], rtol=1e-5)
    assert not learned_weights(slim(world, penalty=3.0, sparsity=0.76)).any()  # 0.75 * 4 / 3 = 1


def test_an_item_that_replaces_another_weighs_below_0_unless_that_is_ruled_out() -> None:
    # those who have item 0 have one of items 1 and 2; one user has both without it
    world = Dataset(matrix([[1, 1, 0], [1, 0, 1]] * 4 + [[0, 1, 1]]))
    free = learned_weights(slim(world, penalty=0.01, non_negative=False))
    assert free[1, 2] < -0.1
    weights = learned_weights(slim(world, penalty=0.01))
    assert weights.min() == 0
    # without item 1, item 2 is predicted from item 0 alone: x_0'x_2 / (x_0'x_0 + b), 18 entries of 9 users
    assert weights[0, 2] == pytest.approx(4 / (8 + 0.01 * 18 / 9), rel=1e-4)


@settings(max_examples=60)
@given(
    st.integers(2, 15),
    st.integers(1, 12),
    st.integers(0, 2**31),
    st.floats(0.03, 20.0),
    st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    st.booleans(),
)
def test_no_weight_can_be_changed_for_the_better(  # noqa: PLR0917
    users: int, items: int, seed: int, penalty: float, sparsity: float, non_negative: bool
) -> None:
    world = noise(users, items, seed)
    model = slim(world, penalty=penalty, sparsity=sparsity, non_negative=non_negative)
    dense, weights = world.matrix.toarray().astype(np.float64), learned_weights(model).astype(np.float64)
    unit = np.square(dense).sum() / (dense.sum(axis=1) > 0).sum()
    products = dense.T @ dense
    assert not np.diag(weights).any()
    assert not non_negative or weights.min() >= 0
    # the derivative of the squares and of the penalty of squares, which the absolute one has to outweigh
    pull = products - products @ weights - penalty * unit * weights
    close = 2e-3 * products.max()
    for item in range(items):
        others = (np.arange(items) != item) & (products[item] > 0)
        above, below = others & (weights[:, item] > 0), others & (weights[:, item] < 0)
        zero = others & (weights[:, item] == 0)
        np.testing.assert_allclose(pull[above, item], sparsity * unit, atol=close)
        np.testing.assert_allclose(pull[below, item], -sparsity * unit, atol=close)
        assert (pull[zero, item] <= sparsity * unit + close).all()
        assert non_negative or (pull[zero, item] >= -sparsity * unit - close).all()
        assert not weights[~others, item].any()


def test_without_a_penalty_of_absolute_weights_and_with_either_sign_it_is_sparse_ease() -> None:
    world = random_world(60, 20)
    config = SparseEASEConfig(half_life_days=None, penalty=1.0, neighbours=7)
    expected = SparseEASE(config).fit(world).scores(world.histories)
    model = slim(world, neighbours=7, non_negative=False)
    np.testing.assert_allclose(model.scores(world.histories), expected, atol=2e-3)


def test_the_larger_the_sparsity_the_fewer_the_weights() -> None:
    world = random_world(200, 60)
    counts = [slim(world, sparsity=sparsity).report["weights"] for sparsity in (0.0, 0.05, 0.3, 1.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 0.5 * counts[0]


def test_the_penalties_keep_their_meaning_for_larger_weights() -> None:
    world = random_world(60, 20)
    scaled = slim(Dataset(matrix(10 * world.matrix.toarray())), sparsity=0.05)
    np.testing.assert_allclose(
        learned_weights(scaled), learned_weights(slim(world, sparsity=0.05)), atol=1e-3
    )
    assert scaled.report["unsolved"] == 0
