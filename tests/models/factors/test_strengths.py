"""The strengths that ALS derives from its data: the same meaning on every log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from models import artefact
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset
from models.errors import ModelError
from models.factors.als import ALS, ALSConfig
from models.factors.least_squares import row_problems, solving
from models.factors.strengths import Strengths, least_zeroing_penalty

SMALL = {"factors": 6, "iterations": 30}


def strengths(model: ALS) -> Strengths:
    return Strengths.of(model._arrays()["strengths"])


def zeroing(world: Dataset, unobserved: float, exponent: float) -> float:
    """Return the least zeroing penalty by a dense singular value decomposition."""
    weights = world.matrix.toarray().astype(np.float64)
    weights = weights[weights.any(axis=1)][:, weights.any(axis=0)]
    totals = [weights.sum(axis=1) + unobserved * weights.shape[1]]
    totals.append(weights.sum(axis=0) + unobserved * weights.shape[0])
    scaled = np.where(weights > 0, weights + unobserved, 0)
    scaled = scaled / np.sqrt(np.outer(totals[0] ** exponent, totals[1] ** exponent))
    return float(np.linalg.svd(scaled, compute_uv=False)[0])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_both_follow_from_the_data(exponent: float) -> None:
    world = random_world()
    model = ALS(ALSConfig(**SMALL, regularization_exponent=exponent, shrinkage=0.2)).fit(world)
    users, items = (~world.histories.empty).sum(), model.trained_items.sum()
    unobserved = 10 * float(world.matrix.sum()) / (users * items)
    assert strengths(model).unobserved == pytest.approx(unobserved)
    expected = 0.2 * zeroing(world, unobserved, exponent)
    assert strengths(model).regularization == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("share", "is_zero"), [(0.9, False), (1.01, True)])
def test_vectors_become_zero_at_that_penalty_and_not_before(share: float, is_zero: bool) -> None:
    world = random_world()
    point = zeroing(world, 0.5, 1.0)
    config = ALSConfig(factors=6, iterations=400, unobserved_weight=0.5, regularization=share * point)
    vectors = ALS(config).fit(world).item_vectors()
    assert (np.abs(vectors).max() < 1e-3) == is_zero


def test_given_values_are_used_as_they_are() -> None:
    model = ALS(ALSConfig(**SMALL, unobserved_weight=0.3, regularization=0.02)).fit(random_world())
    assert strengths(model) == (0.3, 0.02)


def test_a_catalogue_twice_as_large_has_the_same_penalties() -> None:
    """Two copies of a shop have nearly the penalties of one; with fixed strengths they would grow.

    They are not equal since an observed pair, too, has the confidence of an unobserved one.
    """
    random = np.random.default_rng(0)
    world = Dataset(matrix((random.random((300, 200)) < 0.02).astype(float).tolist()))
    twice = Dataset(sparse.csr_array(sparse.block_diag([world.matrix, world.matrix], format="csr")))
    one, two = (strengths(ALS(ALSConfig(**SMALL)).fit(data)) for data in (world, twice))
    assert two.unobserved == pytest.approx(one.unobserved / 2)
    assert two.regularization == pytest.approx(one.regularization, rel=0.1)


def test_a_loaded_model_keeps_the_strengths_of_its_training(tmp_path: Path) -> None:
    world = random_world()
    model = ALS(ALSConfig(**SMALL)).fit(world)
    loaded = artefact.load(artefact.save(model, tmp_path))
    assert np.array_equal(loaded.scores(world.histories), model.scores(world.histories))


def test_strengths_of_another_form_are_refused() -> None:
    for array in (np.ones(3), np.ones(2, np.float32), np.array([1.0, 0.0])):
        with pytest.raises(ModelError, match="expected strengths"):
            Strengths.of(array)


def test_weights_beyond_float32_are_an_error() -> None:
    rows = row_problems(
        matrix([[1, 2], [3, 0]]),
        alpha=3e38,
        unobserved=1.0,
        penalty=lambda total: total,
        known=np.ones(2, np.bool_),
    )
    with solving(), pytest.raises(ModelError, match="expected weights and penalties for which float32"):
        least_zeroing_penalty(rows, np.ones(2))
