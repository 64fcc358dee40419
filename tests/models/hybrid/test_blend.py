"""A blend: the weighted sum of standardised scores, by hand and beside the models that it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models import artefact, registry
from models.base import Composite
from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Sequences
from models.errors import ModelError
from models.hybrid.blend import Blend, BlendConfig
from models.options import TrainingOptions

OPTIONS = TrainingOptions(device="cpu", seed=3, threads=1)
SMALL: dict[str, dict[str, Any]] = {"als": {"factors": 8, "iterations": 5}, "item_knn": {"shrink": 1.0}}


def blend(dataset: Dataset, **settings: Any) -> Blend:
    return Blend(BlendConfig(**settings)).fit(dataset, OPTIONS)


def alone(name: str, dataset: Dataset) -> Any:
    return registry.create(name, SMALL.get(name, {})).fit(dataset, OPTIONS)


def standardised(scores: np.ndarray, trained: np.ndarray) -> np.ndarray:
    known = scores[:, trained].astype(np.float64)
    return (scores - known.mean(axis=1)[:, None]) / known.std(axis=1)[:, None]


def test_the_score_is_the_weighted_sum_of_standardised_scores() -> None:
    world = random_world()
    parts = {name: SMALL[name] for name in ("als", "item_knn")}
    found = blend(world, weights={"als": 3.0, "item_knn": 1.0}, settings=parts)
    some = world.histories.rows(np.flatnonzero(~world.histories.empty))
    each = {name: alone(name, world) for name in parts}
    expected = 3.0 * standardised(each["als"].scores(some), found.trained_items)
    expected += standardised(each["item_knn"].scores(some), found.trained_items)
    np.testing.assert_allclose(
        found.scores(some)[:, found.trained_items], expected[:, found.trained_items], rtol=1e-4, atol=1e-5
    )


def test_known_scores_by_hand() -> None:
    """Items with 4, 2 and 0 users: mean 2, deviation sqrt(8/3); the untrained fourth is not among them."""
    taken = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]])
    times = np.arange(taken.nnz, dtype=np.int64)
    world = Dataset(taken, Sequences(taken.indptr.astype(np.int64), taken.indices.astype(np.int32), times))
    found = blend(world, weights={"popularity": 2.0})
    expected = 2 * (np.array([4.0, 2.0, 1.0]) - 7 / 3) / np.std([4.0, 2.0, 1.0])
    np.testing.assert_allclose(found.scores(world.histories)[:, :3], np.tile(expected, (4, 1)), rtol=1e-6)


def test_a_model_without_an_opinion_about_a_user_has_no_say() -> None:
    """A neighbour model scores 0 everywhere for a user whose items nobody shares."""
    taken = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    times = np.arange(taken.nnz, dtype=np.int64)
    world = Dataset(taken, Sequences(taken.indptr.astype(np.int64), taken.indices.astype(np.int32), times))
    found = blend(world, weights={"item_knn": 1.0, "popularity": 1.0}, settings={"item_knn": {"shrink": 0.0}})
    lonely = world.histories.rows(np.array([3]))
    assert not alone("item_knn", world).scores(lonely).any()
    popular = alone("popularity", world).scores(lonely)
    np.testing.assert_allclose(
        found.scores(lonely)[0, found.trained_items],
        standardised(popular, found.trained_items)[0, found.trained_items],
        rtol=1e-6,
    )


def test_users_of_an_activity_may_have_weights_of_their_own() -> None:
    world = random_world()
    own = {"new": {"popularity": 1.0}}
    found = blend(
        world, weights={"item_knn": 1.0}, weights_by_activity=own, settings={"item_knn": SMALL["item_knn"]}
    )
    lengths = np.diff(world.histories.matrix.indptr)
    new = (lengths > 0) & (lengths < 5)
    assert new.any()
    assert (lengths >= 5).any()
    top = found.recommend(world.histories, 5).items
    popular = alone("popularity", world).recommend(world.histories, 5).items
    near = alone("item_knn", world).recommend(world.histories, 5).items
    np.testing.assert_array_equal(top[new], popular[new])
    np.testing.assert_array_equal(top[lengths >= 5], near[lengths >= 5])


def test_models_trained_before_are_taken_as_they_are() -> None:
    world = random_world()
    parts = {name: SMALL[name] for name in ("als", "item_knn")}
    weights = {"als": 1.0, "item_knn": 1.0}
    made = blend(world, weights=weights, settings=parts)
    taken = Blend(BlendConfig(weights=weights, settings=parts))
    assert isinstance(taken, Composite)
    assert not isinstance(alone("popularity", world), Composite)
    first = alone("als", world)
    taken.adopt(first)
    taken.fit(world, OPTIONS)
    assert taken._models["als"] is first
    for key, array in made._arrays().items():
        np.testing.assert_array_equal(array, taken._arrays()[key], err_msg=key)


def test_a_model_that_is_none_of_its_own_is_not_taken() -> None:
    world = random_world()
    mine = Blend(BlendConfig(weights={"als": 1.0}))
    with pytest.raises(ModelError, match="model popularity is none of this blend's"):
        mine.adopt(alone("popularity", world))
    with pytest.raises(ModelError, match="model als is none of this blend's, or has other settings"):
        mine.adopt(alone("als", world))
    other = Blend(BlendConfig(weights={"als": 1.0}, settings={"als": SMALL["als"]}))
    other.adopt(alone("als", random_world(n_items=50)))
    with pytest.raises(ModelError, match="trained on other items"):
        other.fit(world, OPTIONS)


def test_a_loaded_blend_has_its_models(tmp_path) -> None:
    world = random_world()
    made = blend(world, weights={"als": 1.0, "popularity": 0.5}, settings={"als": SMALL["als"]})
    loaded = artefact.load(artefact.save(made, tmp_path))
    np.testing.assert_array_equal(loaded.scores(world.histories), made.scores(world.histories))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"weights": {"asl": 1.0}}, "expected models among als, item_knn, .*got 'asl'"),
        ({"weights": {"blend": 1.0}}, "expected models among .*got 'blend'"),
        ({"weights": {"als": -1.0}}, "greater than or equal to 0"),
        ({"weights": {"als": 0.0}}, "expected a weight above 0"),
        ({"weights": {}}, "expected a weight above 0"),
        ({"weights_by_activity": {"loyal": {"als": 1.0}}}, "'new', 'light' or 'heavy'"),
        ({"settings": {"popularity": {}}}, r"settings: expected of als, item_knn, got \['popularity'\]"),
        ({"settings": {"als": {"factor": 3}}}, "unknown key 'factor' in models.als"),
    ],
)
def test_a_bad_configuration_says_what_was_expected(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        registry.config("blend", values)
