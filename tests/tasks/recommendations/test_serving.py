"""Which model serves whom: by segment, and by the best measurement."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from worlds.dataset_world import AS_OF, Shop

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.evaluation.holdout import cut_of
from tasks.quality.best_model import best_models
from tasks.quality.champion import Measured, keep_champion
from tasks.recommendations.recommendations import recommendations
from tasks.recommendations.serving import EVERYBODY, Serving, resolve_serving
from tasks.release.releases import release_before
from tasks.runtime.errors import TrainingError

SECTIONS = {
    "users": {"attributes": {"land": "colour"}},
    "top_n": {"n": 4},
    "engine": {"threads": 1},
    "train": {"models": ["item_knn", "popularity", "random"], "serve": "best"},
    "quality": {"min_users": 10, "k": 4},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a shop in which two groups of users want different halves of the catalogue."""
    folder = tmp_path_factory.mktemp("serving")
    rng, engine = np.random.default_rng(4), DuckDBEngine(folder / "engine", 2**29, 1)
    shop = Shop(folder, engine, **SECTIONS)
    rows = []
    for user in range(80):
        for step, item in enumerate(rng.permutation(20)[: 3 + user % 12]):
            time = f"2026-03-{1 + step:02} {user % 24:02}:{user % 60:02}:00"
            rows.append((f"u{user:02}", f"i{item + 20 * (user % 2):02}", time, {"colour": f"land{user % 3}"}))
    shop.log(*rows)
    built = shop.build(AS_OF)
    cut = cut_of(built.folder, 0.25)
    past = shop.build(AS_OF, until=cut, name="past")
    for name in SECTIONS["train"]["models"]:
        past.train(name, f"past-models/{name}")
        built.train(name, f"models/{name}")
    yield shop, built, Measured(past.folder, shop.folder / "past-models", cut)
    engine.close()


def sources(path):
    """Return the source of every user's first row, by user."""
    table = pq.read_table(path / "recommendations.parquet").to_pylist()
    return {row["user_id"]: row["source"] for row in table if row["rank"] == 1}


def rows_of(path, users):
    table = pq.read_table(path / "recommendations.parquet").to_pylist()
    return [row for row in table if row["user_id"] in users]


def test_each_segment_has_the_lists_of_its_own_model(built, tmp_path):
    shop, full, _ = built
    serving = Serving("item_knn", "activity", {"new": "popularity"})
    artefacts = {name: shop.folder / "models" / name for name in serving.names}
    recommendations(full.configuration, full.folder, artefacts, tmp_path / "both", serving=serving)
    for name in serving.names:
        recommendations(full.configuration, full.folder, artefacts[name], tmp_path / name)
    items = dict(full.rows("users", "user_id", "items"))
    new = {user for user, count in items.items() if count < 5}
    assert 0 < len(new) < len(items)
    first_sources = sources(tmp_path / "both")
    assert {first_sources[user] for user in new} == {"popularity"}
    assert {first_sources[user] for user in items.keys() - new} == {"item_knn"}
    assert rows_of(tmp_path / "both", new) == rows_of(tmp_path / "popularity", new)
    active = items.keys() - new
    assert rows_of(tmp_path / "both", active) == rows_of(tmp_path / "item_knn", active)


def test_an_attribute_chooses_the_model_and_the_source_names_it(built, tmp_path):
    shop, full, _ = built
    serving = Serving("item_knn", "land", {"land1": "popularity", "land2": "random"})
    artefacts = {name: shop.folder / "models" / name for name in serving.names}
    filled = recommendations(full.configuration, full.folder, artefacts, tmp_path, serving=serving)
    models = {"land0": "item_knn", "land1": "popularity", "land2": "random"}
    lands = dict(full.rows("user_attributes", "id", "value"))
    assert sources(tmp_path) == {user: models[lands[user]] for user in sources(tmp_path)}
    assert {*models.values()} <= filled.by_source.keys()


def test_without_a_previous_model_the_best_mean_wins(built):
    shop, full, measured = built
    names = ["random", "popularity", "item_knn"]
    choice = best_models(full.configuration, shop.store, names, full.folder, measured, None)[EVERYBODY]
    assert choice.model == "item_knn" == max(choice.figures, key=lambda name: choice.figures[name])
    with pytest.raises(TrainingError, match="no model could be measured"):
        best_models(full.configuration, shop.store, [], full.folder, measured, None)


@pytest.mark.parametrize("served", [None, "random"])
def test_what_is_not_surely_better_than_a_floor_does_not_serve(built, tmp_path, served):
    from tasks.release.releases import Release
    from tasks.store.layout import Store

    _, full, measured = built
    store, before = Store(tmp_path).create(), None
    if served is not None:
        before = Release("2026-03-09-a", AS_OF, tmp_path, active=True)
        keep_champion(store, before.release_id, full.configuration, measured, Serving(served))
    names = ["random", "popularity"]
    (choice,) = best_models(full.configuration, store, names, full.folder, measured, before).values()
    assert choice.model == "popularity"
    assert choice.why.startswith("no model is significantly better than popularity, which serves: ndcg@4 ")
    assert choice.why.endswith(f" of random against {choice.figures['popularity']:.4f} of popularity")


@pytest.mark.parametrize(("served", "chosen"), [("random", "item_knn"), ("item_knn", "item_knn")])
def test_the_model_that_served_is_replaced_only_by_a_surely_better_one(built, tmp_path, served, chosen):
    from tasks.release.releases import Release
    from tasks.store.layout import Store

    _, full, measured = built
    store = Store(tmp_path).create()
    before = Release("2026-03-09-a", AS_OF, tmp_path, active=True)
    keep_champion(store, before.release_id, full.configuration, measured, Serving(served))
    names = ["random", "popularity", "item_knn"]
    (choice,) = best_models(full.configuration, store, names, full.folder, measured, before).values()
    assert choice.model == chosen
    (alone,) = best_models(full.configuration, store, [served], full.folder, measured, before).values()
    assert alone.model == served
    assert release_before(store, AS_OF) is None


def test_the_best_model_can_be_chosen_for_one_segment(built, tmp_path):
    from tasks.release.releases import Release
    from tasks.store.layout import Store

    shop, full, measured = built
    segments = {"by": "land", "models": {"land0": "popularity", "land1": "best"}}
    train = SECTIONS["train"] | {"serve": "random", "serve_by_segment": segments}
    configuration = shop.configuration(train=train)
    names = ["random", "popularity", "item_knn"]
    choices = best_models(configuration, shop.store, names, full.folder, measured, None)
    assert {value: choice.model for value, choice in choices.items()} == {
        EVERYBODY: "random",
        "land1": "item_knn",
    }
    assert choices[EVERYBODY].why == "as configured"
    both = best_models(
        shop.configuration(train=train | {"serve": "best"}), shop.store, names, full.folder, measured, None
    )
    assert both["land1"].figures != both[EVERYBODY].figures  # measured on its users only
    served = resolve_serving(configuration, {value: choice.model for value, choice in choices.items()})
    assert served == Serving("random", "land", {"land0": "popularity", "land1": "item_knn"})
    strict = shop.configuration(train=train, quality=SECTIONS["quality"] | {"min_users": 1000})
    assert best_models(strict, shop.store, names, full.folder, measured, None)["land1"].model == "random"
    store = Store(tmp_path).create()
    before = Release("2026-03-09-a", AS_OF, tmp_path, active=True)
    keep_champion(
        store, before.release_id, configuration, measured, Serving("random", "land", {"land1": "popularity"})
    )
    kept = best_models(strict, store, names, full.folder, measured, before)["land1"]
    assert (kept.model, kept.figures) == ("popularity", {})
    assert "too few" in kept.why


def test_a_model_that_cannot_serve_is_a_mistake_in_the_configuration(built):
    shop, _, _ = built
    served = shop.configuration(
        train={"serve": "item_knn", "serve_by_segment": {"models": {"new": "random"}}}
    )
    assert resolve_serving(served).names == ("item_knn", "random")
    wrong = {
        "serve_by_segment: expected one of models": {"serve_by_segment": {"models": {"new": "als"}}},
        "expected new, light or heavy": {"serve_by_segment": {"models": {"old": "random"}}},
        "expected an attribute of users": {"serve_by_segment": {"by": "age", "models": {"1": "random"}}},
        "unknown model 'asl'": {"serve": "asl"},
    }
    for message, train in wrong.items():
        with pytest.raises(ValidationError, match=message):
            shop.configuration(train=train)
    for train in ({"serve": "best"}, {"serve": "random", "serve_by_segment": {"models": {"new": "best"}}}):
        with pytest.raises(ValidationError, match="needs evaluation"):
            shop.configuration(train=SECTIONS["train"] | train, evaluation={"enabled": False})
