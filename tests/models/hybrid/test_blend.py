"""A blend: the weighted sum of standardised scores, by hand and compared with its parts."""

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
from models.splitting.split import event_matrix, to_sequences

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
    blended = blend(world, weights={"als": 3.0, "item_knn": 1.0}, settings=parts)
    some = world.histories.rows(np.flatnonzero(~world.histories.empty))
    single = {name: alone(name, world) for name in parts}
    expected = 3.0 * standardised(single["als"].scores(some), blended.trained_items)
    expected += standardised(single["item_knn"].scores(some), blended.trained_items)
    np.testing.assert_allclose(
        blended.scores(some)[:, blended.trained_items],
        expected[:, blended.trained_items],
        rtol=1e-4,
        atol=1e-5,
    )


def test_known_scores_by_hand() -> None:
    """Items with 4, 2 and 1 users are standardised without the untrained fourth item."""
    events = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]])
    times = np.arange(events.nnz, dtype=np.int64)
    world = Dataset(events, Sequences(events.indptr.astype(np.int64), events.indices.astype(np.int32), times))
    blended = blend(world, weights={"popularity": 2.0})
    expected = 2 * (np.array([4.0, 2.0, 1.0]) - 7 / 3) / np.std([4.0, 2.0, 1.0])
    np.testing.assert_allclose(blended.scores(world.histories)[:, :3], np.tile(expected, (4, 1)), rtol=1e-6)


def test_a_model_with_equal_scores_for_all_items_adds_nothing() -> None:
    """A neighbour model scores all items 0 for a user whose items no other user has."""
    events = matrix([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    times = np.arange(events.nnz, dtype=np.int64)
    world = Dataset(events, Sequences(events.indptr.astype(np.int64), events.indices.astype(np.int32), times))
    blended = blend(
        world, weights={"item_knn": 1.0, "popularity": 1.0}, settings={"item_knn": {"shrink": 0.0}}
    )
    lonely = world.histories.rows(np.array([3]))
    assert not alone("item_knn", world).scores(lonely).any()
    popular = alone("popularity", world).scores(lonely)
    np.testing.assert_allclose(
        blended.scores(lonely)[0, blended.trained_items],
        standardised(popular, blended.trained_items)[0, blended.trained_items],
        rtol=1e-6,
    )


def test_users_of_an_activity_can_have_their_own_weights() -> None:
    world = random_world()
    by_activity = {"new": {"popularity": 1.0}}
    blended = blend(
        world,
        weights={"item_knn": 1.0},
        weights_by_activity=by_activity,
        settings={"item_knn": SMALL["item_knn"]},
    )
    lengths = np.diff(world.histories.matrix.indptr)
    new = (lengths > 0) & (lengths < 5)
    assert new.any()
    assert (lengths >= 5).any()
    top = blended.recommend(world.histories, 5).items
    popular = alone("popularity", world).recommend(world.histories, 5).items
    near = alone("item_knn", world).recommend(world.histories, 5).items
    np.testing.assert_array_equal(top[new], popular[new])
    np.testing.assert_array_equal(top[lengths >= 5], near[lengths >= 5])


def test_trained_parts_are_adopted_unchanged() -> None:
    world = random_world()
    parts = {name: SMALL[name] for name in ("als", "item_knn")}
    weights = {"als": 1.0, "item_knn": 1.0}
    trained = blend(world, weights=weights, settings=parts)
    adopting = Blend(BlendConfig(weights=weights, settings=parts))
    assert isinstance(adopting, Composite)
    assert not isinstance(alone("popularity", world), Composite)
    first = alone("als", world)
    adopting.adopt(first)
    adopting.fit(world, OPTIONS)
    assert adopting._models["als"] is first
    for key, array in trained._arrays().items():
        np.testing.assert_array_equal(array, adopting._arrays()[key], err_msg=key)


def test_a_model_that_is_not_a_part_is_refused() -> None:
    world = random_world()
    default = Blend(BlendConfig(weights={"als": 1.0}))
    with pytest.raises(ModelError, match="model popularity is not a part of this blend"):
        default.adopt(alone("popularity", world))
    with pytest.raises(ModelError, match="model als is not a part of this blend, or has other settings"):
        default.adopt(alone("als", world))
    small = Blend(BlendConfig(weights={"als": 1.0}, settings={"als": SMALL["als"]}))
    small.adopt(alone("als", random_world(n_items=50)))
    with pytest.raises(ModelError, match="trained on other items"):
        small.fit(world, OPTIONS)


def test_a_loaded_blend_has_its_models(tmp_path) -> None:
    world = random_world()
    made = blend(world, weights={"als": 1.0, "popularity": 0.5}, settings={"als": SMALL["als"]})
    loaded = artefact.load(artefact.save(made, tmp_path))
    np.testing.assert_array_equal(loaded.scores(world.histories), made.scores(world.histories))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": {"asl": 1.0}}, "expected models among als, ease, .*item_knn, .*got 'asl'"),
        ({"weights": {"blend": 1.0}}, "expected models among .*got 'blend'"),
        ({"weights": {"als": -1.0}}, "greater than or equal to 0"),
        ({"weights": {"als": 0.0}}, "expected a weight above 0"),
        ({"weights": {}}, "expected a weight above 0"),
        ({"weights_by_activity": {"loyal": {"als": 1.0}}}, "'new', 'light' or 'heavy'"),
        (
            {"settings": {"popularity": {}}},
            r"expected settings of als, ease, item_knn, pure_svd, recent_popularity, got \['popularity'\]",
        ),
        ({"settings": {"als": {"factor": 3}}}, "unknown key 'factor' in models.als"),
    ],
)
def test_the_message_about_a_bad_configuration_says_what_was_expected(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        registry.config("blend", values)


def test_a_blend_can_do_without_candidates_but_not_without_a_personal_one() -> None:
    config = BlendConfig(settings={"ease": {"penalty": 3.0}, "als": {"factors": 4}})
    changes = config.without({"ease"})
    assert changes == {
        "candidates": ("als", "item_knn", "pure_svd", "recent_popularity"),
        "settings": {"als": {"factors": 4}},
    }
    assert BlendConfig.model_validate(config.model_dump() | changes).parts == tuple(
        sorted(changes["candidates"])
    )
    assert config.without({"als", "ease", "item_knn", "pure_svd"}) == {}
    assert BlendConfig(weights={"als": 1.0, "ease": 1.0}).without({"ease"}) == {}


def test_a_candidate_that_learns_nothing_is_left_out_but_not_a_named_part() -> None:
    rng = np.random.default_rng(2)
    items = rng.integers(0, 20, 80)
    sequences, _ = to_sequences(np.arange(80), items, np.arange(80) * 10**6, 80)
    lonely = Dataset(event_matrix(sequences, 20), sequences)  # a single item each: nothing to regress on
    with pytest.raises(ModelError, match="ease"):
        registry.create("ease").fit(lonely)
    model = Blend(BlendConfig(settings={"als": {"factors": 4, "iterations": 3}})).fit(lonely)
    assert "ease" not in model.report["weights"]
    assert model.report["weights"]["als"] > 0
    assert (model.recommend(lonely.histories, 3, exclude=lonely.matrix).items >= 0).all()
    with pytest.raises(ModelError, match="ease"):
        Blend(BlendConfig(weights={"als": 1.0, "ease": 1.0})).fit(lonely)
    with pytest.raises(ModelError, match="ease"):
        Blend(BlendConfig(candidates=("ease", "popularity"))).fit(lonely)
