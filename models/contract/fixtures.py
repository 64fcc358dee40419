"""The model under test, trained once for all tests of its contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from models import registry
from models.base import Model
from models.contract.worlds import random_world, rated_world
from models.dataset import Dataset
from models.options import TrainingOptions
from models.ranking.topn import TopN

OPTIONS = TrainingOptions(device="cpu", seed=3, threads=1)


class ModelUnderTest:
    """The model and its peculiarities.

    ``model``: its name in the registry; ``settings``: make it small enough for a test;
    ``personal``: whether lists depend on the user's history; ``threads_matter``: whether the number
    of threads can change the model, for example because torch sums in another order. ``ratings``:
    whether the model predicts ratings, so that weights have to differ and taste shows in them.
    """

    model: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    personal: ClassVar[bool] = True
    threads_matter: ClassVar[bool] = False
    ratings: ClassVar[bool] = False

    @classmethod
    def fitted(cls, dataset: Dataset, options: TrainingOptions = OPTIONS) -> Model[Any]:
        """Return a new trained model."""
        return registry.create(cls.model, cls.settings).fit(dataset, options)

    @pytest.fixture(scope="class")
    @classmethod
    def world(cls) -> Dataset:
        """Return 120 users of two tastes and 60 items; 3 users and 2 items have no events."""
        return rated_world() if cls.ratings else random_world()

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, world: Dataset) -> Model[Any]:
        """Return the model trained on the world."""
        return cls.fitted(world)


def assert_equal(top: TopN, expected: TopN) -> None:
    """Assert that lists are equal to the last bit."""
    np.testing.assert_array_equal(top.items, expected.items)
    np.testing.assert_array_equal(top.scores, expected.scores)
