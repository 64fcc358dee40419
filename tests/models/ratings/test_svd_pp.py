"""SVD++: what it knows of users beyond their ratings."""

from __future__ import annotations

import numpy as np

from models.contract.worlds import matrix
from models.dataset import Dataset, Histories
from models.options import TrainingOptions
from models.ratings.svd_pp import SVDPlusPlus, SVDPlusPlusConfig


def test_which_items_were_rated_tells_about_taste() -> None:
    """Two kinds of users rate their own 30 items at random, and a last item: 5 or 1, by kind.

    A new user has rated only own items, all 3: the choice alone tells what the last one gets.
    """
    rng = np.random.default_rng(4)
    kind = np.arange(200) % 2
    own = (np.arange(60) % 2)[None] == kind[:, None]
    ratings = np.where(own & (rng.random((200, 60)) < 0.5), rng.integers(2, 5, (200, 60)), 0)
    world = Dataset(matrix(np.column_stack((ratings, np.where(kind == 0, 5, 1)))))
    model = SVDPlusPlus(SVDPlusPlusConfig(factors=4)).fit(world, TrainingOptions(seed=1))
    new = np.zeros((2, 61))
    new[0, 0:20:2] = new[1, 1:20:2] = 3
    predictions = model.predict(Histories(matrix(new)), np.array([0, 1]), np.array([60, 60]))
    assert predictions[0] > predictions[1] + 1


def test_the_item_vectors_and_implicit_vectors_are_kept() -> None:
    world = Dataset(matrix(np.random.default_rng(0).integers(0, 6, (30, 12))))
    model = SVDPlusPlus(SVDPlusPlusConfig(factors=4, epochs=2)).fit(world)
    assert model._arrays()["implicit"].shape == (12, 4)
    assert np.abs(model._arrays()["implicit"]).max() > 0
