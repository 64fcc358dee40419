"""PureSVD, against a singular value decomposition of the dense matrix."""

from __future__ import annotations

import numpy as np
import pytest

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.filters.pure_svd import FACTORS, PureSVD, PureSVDConfig


def test_a_projection_worked_by_hand() -> None:
    """Items 0 and 1 always come together and item 2 alone: directions (1, 1, 0) / 2^.5 and (0, 0, 1)."""
    world = Dataset(matrix([[2, 2, 0], [1, 1, 0], [0, 0, 1], [0, 0, 2]]))
    model = PureSVD(PureSVDConfig(factors=1, half_life_days=None)).fit(world)
    histories = Histories(matrix([[1, 0, 0], [3, 1, 5], [0, 0, 1]]))
    np.testing.assert_allclose(
        model.scores(histories), [[0.5, 0.5, 0], [2, 2, 0], [0, 0, 0]], rtol=1e-5, atol=1e-6
    )
    top = model.similar_items(np.array([0]), 2)
    assert top.items.tolist() == [[1, -1]]


def test_scores_equal_a_dense_decomposition() -> None:
    """Users and items are of three kinds, so three values are far above the others."""
    random = np.random.default_rng(5)
    kinds = [random.integers(0, 3, size) for size in (50, 20)]
    dense = np.where(kinds[0][:, None] == kinds[1], 3.0, 0.0) * random.uniform(0.9, 1.1, (50, 20))
    world = Dataset(matrix(dense.tolist()))
    model = PureSVD(PureSVDConfig(factors=3, half_life_days=None)).fit(world)
    kept = np.linalg.svd(dense, full_matrices=False)[2][:3]
    np.testing.assert_allclose(model.scores(world.histories), dense @ kept.T @ kept, rtol=1e-4, atol=1e-4)


def test_without_times_the_usual_number_of_factors_is_kept() -> None:
    world = Dataset(random_world().matrix)
    model = PureSVD().fit(world)
    assert model.report["factors"] == FACTORS[0]
    assert model.item_vectors().shape == (world.n_items, FACTORS[0])


def test_directions_of_another_shape_are_refused() -> None:
    model = PureSVD(PureSVDConfig(factors=2)).fit(random_world())
    arrays = model._arrays()
    with pytest.raises(ModelError, match="item_vectors float32"):
        model._restore(arrays | {"item_vectors": arrays["item_vectors"][:, :1]})
