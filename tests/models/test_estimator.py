"""Models with frames in and out: ids of the source, recommendations by history, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from models import registry
from models.abilities import HasSimilarItems, PredictsRatings
from models.contract.worlds import random_world
from models.errors import ModelError
from models.estimator import Estimator, UnknownItemsWarning, create
from models.interactions import Interactions
from models.options import TrainingOptions

FAST = TrainingOptions(seed=1, threads=1, device="cpu")


def events() -> pd.DataFrame:
    """Return the events of a world of two tastes; users are u3..., items are numbers."""
    world = random_world(60, 30)
    users = np.repeat(np.arange(world.n_users), world.sequences.lengths)
    return pd.DataFrame(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": world.sequences.items + 100,
            "time": world.sequences.timestamps.astype("datetime64[us]"),
        }
    )


@pytest.fixture(scope="module")
def data() -> Interactions:
    return Interactions.of(events())


@pytest.fixture(scope="module")
def als(data: Interactions) -> Estimator:
    return create("als", factors=4).fit(data, FAST)


@pytest.mark.parametrize("name", registry.built_in())
def test_every_model_recommends_the_same_as_the_model_behind_it(name: str, data: Interactions) -> None:
    settings = {"epochs": 2} if name == "mult_vae" else {}
    if issubclass(registry.model_class(name), PredictsRatings):  # they need weights that differ
        frame = events()
        taste = frame["user_id"].str[-1].astype(int) % 2 == frame["item_id"] % 2
        data = Interactions.of(frame.assign(stars=1 + 3 * taste + frame["item_id"] % 2), weight="stars")
    lists = create(name, **settings).fit(data, FAST).recommend(data, k=5)
    model = registry.create(name, settings).fit(data.dataset, FAST)
    top = model.recommend(data.histories, 5, exclude=data.seen)
    assert lists["item_id"].tolist() == data.item_ids.take(top.items[top.items >= 0]).to_pylist()
    assert lists["score"].tolist() == top.scores[top.items >= 0].tolist()
    assert list(lists.columns) == ["user_id", "rank", "item_id", "score"]
    assert lists.equals(lists.sort_values(["user_id", "rank"]))
    ranks = lists.groupby("user_id")["rank"]
    assert (ranks.min() == 1).all()
    assert (ranks.max() == ranks.size()).all()


def test_seen_items_are_left_out_unless_requested(als: Estimator, data: Interactions) -> None:
    pairs = set(zip(events()["user_id"], events()["item_id"], strict=True))
    lists = als.recommend(data, k=30)
    assert not pairs & set(zip(lists["user_id"], lists["item_id"], strict=True))
    lists = als.recommend(data, k=30, seen=True)
    assert pairs <= set(zip(lists["user_id"], lists["item_id"], strict=True))


@pytest.mark.parametrize(
    "frame",
    [
        events(),
        events().convert_dtypes(dtype_backend="pyarrow"),
        events().astype({"user_id": "category", "item_id": "Int16"}),
        events().astype({"user_id": object, "item_id": float}),
        pl.DataFrame(events()),
        pl.DataFrame(events()).cast({"user_id": pl.Categorical, "item_id": pl.UInt16}),
        pa.table(events()),
        events().to_dict("list"),
    ],
    ids=["pandas", "pyarrow", "category", "object", "polars", "polars categories", "arrow", "mapping"],
)
def test_lists_are_frames_of_the_kind_and_types_of_the_input(frame: Any) -> None:
    data = Interactions.of(frame)
    model = create("item_knn").fit(data, FAST)
    lists, similar = model.recommend(data, k=3), model.similar_items(k=3)
    expected = create("item_knn").fit(Interactions.of(events()), FAST)
    if isinstance(frame, dict):
        assert isinstance(lists, pa.Table)
    else:
        assert type(lists) is type(similar) is type(frame)
    if isinstance(frame, pd.DataFrame):
        assert lists.dtypes[["user_id", "item_id"]].equals(frame.dtypes[["user_id", "item_id"]])
        assert similar.dtypes["similar_item_id"] == frame.dtypes["item_id"]
    elif isinstance(frame, pl.DataFrame):
        assert lists.select("user_id", "item_id").schema == frame.select("user_id", "item_id").schema
    plain = lists if isinstance(lists, pd.DataFrame) else lists.to_pandas()
    reference = expected.recommend(Interactions.of(events()), k=3)
    assert plain["user_id"].tolist() == reference["user_id"].tolist()
    assert plain["item_id"].tolist() == reference["item_id"].tolist()


def test_users_are_served_by_their_history_even_if_unknown(als: Estimator, data: Interactions) -> None:
    whole = als.recommend(data, k=4)
    strangers = events().assign(user_id="new " + events()["user_id"])
    lists = als.recommend(Interactions.of(strangers), k=4)
    assert lists["item_id"].tolist() == whole["item_id"].tolist()
    assert lists["user_id"].tolist() == ("new " + whole["user_id"]).tolist()
    some = als.recommend(data, k=4, users=["u7", "u30", "u7"])
    assert some.equals(whole[whole["user_id"].isin(["u7", "u30"])].reset_index(drop=True))
    assert als.recommend(data, k=4, users=pd.Series(["u7"])).equals(
        some[some["user_id"] == "u7"].reset_index(drop=True)
    )
    assert als.recommend(data, users=[]).empty


def test_items_that_were_not_trained_on_are_ignored_and_counted(als: Estimator, data: Interactions) -> None:
    more = {"user": ["u7", "u7", "x"], "item": [100, 999, 999]}
    message = "^2 of 3 events have items that als was not trained on; 1 of 2 users have no other events"
    with pytest.warns(UnknownItemsWarning, match=message) as caught:
        lists = als.recommend(Interactions.of(more), k=2)
    assert caught[0].filename == __file__
    assert set(lists["user_id"].to_pylist()) == {"u7"}
    assert 100 not in lists["item_id"].to_pylist()
    with pytest.warns(UnknownItemsWarning, match="^1 of 2 events have"):
        als.recommend(Interactions.of(more), users=["u7"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        als.recommend(data, users=["u7"])


def test_similar_items_are_those_of_the_model(als: Estimator, data: Interactions) -> None:
    similar = als.similar_items(k=3, items=[105, 103])
    assert list(similar.columns) == ["item_id", "rank", "similar_item_id", "score"]
    assert similar["item_id"].tolist() == [103] * 3 + [105] * 3
    assert similar["rank"].tolist() == [1, 2, 3] * 2
    model = als._fitted().model
    assert isinstance(model, HasSimilarItems)
    assert (
        similar["similar_item_id"].tolist()
        == (model.similar_items(np.array([3, 5]), 3).items.ravel() + 100).tolist()
    )
    assert set(als.similar_items()["item_id"]) == set(events()["item_id"])
    with pytest.raises(ModelError, match="expected a model with similar items, such as als, got popularity"):
        create("popularity").fit(data).similar_items()


def test_the_same_seed_gives_the_same_lists_and_fit_starts_over(als: Estimator, data: Interactions) -> None:
    first = als.recommend(data, k=5)
    model = create("als", factors=4)
    assert model.fit(data, FAST).recommend(data, k=5).equals(first)
    assert model.fit(data, FAST).recommend(data, k=5, threads=2).equals(first)
    second_seed = TrainingOptions(seed=2, threads=1, device="cpu")
    assert not model.fit(data, second_seed).recommend(data, k=5)["score"].equals(first["score"])
    shuffled = Interactions.of(events().sample(frac=1, random_state=3))
    assert model.fit(shuffled, FAST).recommend(shuffled, k=5).equals(first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, data: create("asl"), "^unknown model 'asl'; known: als, blend, "),
        (
            lambda model, data: create("als", fctors=3),
            "unknown key 'fctors' in models.als; known: alpha, factors",
        ),
        (lambda model, data: create("als", factors=0), r"bad value of models\.als\.factors: .*, got 0"),
        (
            lambda model, data: create("als").recommend(data),
            "^model als is not fitted: call fit or load first$",
        ),
        (lambda model, data: create("als").similar_items(), "model als is not fitted"),
        (lambda model, data: create("als").report, "model als is not fitted"),
        (lambda model, data: create("als").save("x"), "model als is not fitted"),
        (
            lambda model, data: model.fit(events()),
            r"^expected Interactions \(see Interactions.of\), got DataFrame$",
        ),
        (lambda model, data: model.recommend(events()), "expected Interactions .* got DataFrame"),
        (lambda model, data: model.recommend(data, k=0), "expected k as a whole number of at least 1, got 0"),
        (
            lambda model, data: model.recommend(data, k=2.5),
            "expected k as a whole number of at least 1, got 2.5",
        ),
        (lambda model, data: model.recommend(data, k=True), "expected k .* got True"),
        (
            lambda model, data: model.recommend(data, users=["u7", "x", "y"]),
            "^expected users of the data, got 2 others, such as 'x'$",
        ),
        (
            lambda model, data: model.recommend(data, users=[7]),
            "expected users of the data as text, got whole numbers",
        ),
        (
            lambda model, data: model.recommend(data, users="u7"),
            "expected a list of users of the data, got the single 'u7'",
        ),
        (
            lambda model, data: create("als").fit(data, {"seed": 1}),
            r"^expected options as TrainingOptions\(seed=1, \.\.\.\), got a dict: ",
        ),
        (lambda model, data: create("als", name="x"), "unknown key 'name' in models.als; known: "),
        (lambda model, data: create(["als"]), r"unknown model \['als'\]; known: als"),
        (
            lambda model, data: model.recommend(data, users=events()),
            "expected a list of users of the data, got a DataFrame: name its column",
        ),
        (lambda model, data: model.recommend(data, threads="2"), "expected threads as .* got '2'"),
        (lambda model, data: model.recommend(data, seen="no"), "expected seen as True or False, got 'no'"),
        (
            lambda model, data: model.similar_items(items=[1]),
            "expected items of the training data, got 1 others, such as 1",
        ),
        (
            lambda model, data: create("recent_popularity").fit(Interactions.of({"user": [1], "item": [1]})),
            "expected sequences with timestamps",
        ),
    ],
)
def test_mistakes_are_reported_in_one_sentence(
    call: Any, message: str, als: Estimator, data: Interactions
) -> None:
    with pytest.raises(ModelError, match=message) as error:
        call(als, data)
    assert "\n" not in str(error.value)


def test_the_lists_of_one_user_are_those_among_all(als: Estimator, data: Interactions) -> None:
    together = als.recommend(data, k=5)
    for user in ("u7", "u1"):
        alone = als.recommend(data, k=5, users=[user])
        assert alone.equals(together[together["user_id"] == user].reset_index(drop=True))
