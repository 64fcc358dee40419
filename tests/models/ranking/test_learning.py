"""A model that learned nothing is an error, never a table."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix
from models.dataset import Dataset
from models.errors import ModelError
from models.ranking.learning import require_learning
from models.registry import create


def two_tastes(n_users: int = 200, n_items: int = 120) -> Dataset:
    """Return users of two groups, each of which takes up one half of the items."""
    random = np.random.default_rng(2)
    chosen = random.random((n_users, n_items)) < 0.15
    chosen[::2, : n_items // 2] = chosen[1::2, n_items // 2 :] = False
    return Dataset(matrix(chosen.astype(float).tolist()))


def test_a_penalty_that_outweighs_the_data_is_refused() -> None:
    world = two_tastes()
    create("als", {"factors": 8}).fit(world)
    with pytest.raises(ModelError, match="als learned nothing: it gives all 120 items the same score"):
        create("als", {"factors": 8, "regularization": 20.0}).fit(world)


def test_one_list_for_everybody_is_refused() -> None:
    popular = np.tile(np.arange(150, dtype=np.float32), (30, 1))
    scale = np.linspace(0.5, 2, 30, dtype=np.float32)[:, None]
    with pytest.raises(ModelError, match="30 users with different histories have the same 10 items first"):
        require_learning("als", popular * scale)
    own = popular.copy()
    own[7, 0] = 1000
    require_learning("als", own)


def test_few_users_or_items_say_too_little() -> None:
    require_learning("als", np.tile(np.arange(150, dtype=np.float32), (19, 1)))
    require_learning("als", np.tile(np.arange(99, dtype=np.float32), (30, 1)))


def test_a_floor_may_give_everybody_the_same_list() -> None:
    world = two_tastes()
    scores = create("popularity").fit(world).scores(world.histories)
    assert (scores == scores[0]).all()
