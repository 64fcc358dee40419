"""Evaluation on interactions: the figures of the temporal protocol, always beside popularity."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from models import registry
from models.comparison import evaluate
from models.contract.worlds import random_world
from models.errors import ModelError
from models.estimator import create
from models.evaluation.protocols import measure_split
from models.interactions import Interactions
from models.options import TrainingOptions
from models.splitting.split import split_last

FAST = TrainingOptions(seed=1, threads=1, device="cpu")


def frame() -> pd.DataFrame:
    world = random_world(80, 40)
    users = np.repeat(np.arange(world.n_users), world.sequences.lengths)
    times = np.random.default_rng(0).permutation(len(users)).astype("datetime64[s]")
    return pd.DataFrame({"user_id": users, "item_id": world.sequences.items, "time": times})


def as_a_night(events: np.ndarray) -> np.ndarray:
    return np.round(1 + np.log1p(events.astype(float)), 6).astype(np.float32)


@pytest.fixture(scope="module")
def data() -> Interactions:
    return Interactions.of(frame())


def test_the_figures_are_those_of_the_temporal_protocol(data: Interactions) -> None:
    figures = evaluate(data, ["item_knn"], k=[5, 10], options=FAST)
    assert list(figures.columns) == ["model", "metric", "k", "value", "low", "high", "users"]
    assert figures["model"].unique().tolist() == ["item_knn", "popularity"]
    split = split_last(data.sequences, data.shape[1], 0.2)
    for name in ("item_knn", "popularity"):
        factory = partial(registry.create, name)
        measured = measure_split(data.sequences, data.shape[1], split, factory, ks=[5, 10], weigh=as_a_night)
        rows = figures[figures["model"] == name].set_index(["metric", "k"])
        for figure in measured.table():
            row = rows.loc[figure.metric, figure.k]
            assert (row["value"], row["users"]) == (figure.value, figure.users)
            ends = [np.nan if end is None else end for end in (figure.low, figure.high)]
            np.testing.assert_array_equal(row[["low", "high"]].to_numpy(float), ends)
        assert len(rows) == len(measured.table())


def test_evaluate_trains_like_fit(data: Interactions) -> None:
    """The lists of a model fitted on the past give the same value as evaluate."""
    cut = np.sort(data.timestamps)[-round(0.2 * len(data))]
    past = frame()[data.timestamps < cut]
    future = frame()[data.timestamps >= cut].merge(
        past, on=["user_id", "item_id"], how="left", indicator=True
    )
    future = future[(future["_merge"] == "left_only") & future["item_id"].isin(past["item_id"])]
    future = future[future["user_id"].isin(past["user_id"])][["user_id", "item_id"]].drop_duplicates()
    before = Interactions.of(past)
    lists = create("als", factors=4).fit(before, FAST).recommend(before, k=10)
    hits = lists.merge(future, on=["user_id", "item_id"]).groupby("user_id").size()
    rate = (future.groupby("user_id").size().index.to_series().map(hits).fillna(0) > 0).mean()
    figures = evaluate(data, create("als", factors=4), options=FAST)
    row = figures[(figures["model"] == "als") & (figures["metric"] == "hit_rate")]
    assert row["value"].tolist() == [pytest.approx(rate)]


def test_models_are_given_by_name_or_as_objects_and_a_mapping_labels_them(data: Interactions) -> None:
    small = {"few": create("als", factors=2), "many": create("als", factors=8), "all": "popularity"}
    figures = evaluate(data, small, k=5, options=FAST)
    assert figures["model"].unique().tolist() == ["few", "many", "all"]
    values = figures[figures["metric"] == "ndcg"]["value"]
    assert values.nunique() == 3
    assert evaluate(data, "popularity", options=FAST)["model"].unique().tolist() == ["popularity"]


def test_the_frame_is_of_the_kind_of_the_data() -> None:
    figures = evaluate(Interactions.of(pl.DataFrame(frame())), ["popularity"], options=FAST)
    assert isinstance(figures, pl.DataFrame)
    assert figures.schema["value"] == pl.Float64
    assert figures.filter(pl.col("metric") == "coverage")["low"].to_list() == [None]


def test_events_without_weight_are_neither_trained_on_nor_tested() -> None:
    events = frame()
    weightless = events.assign(item_id=events["item_id"] + 1000, w=0.0)
    both = pd.concat([events.assign(w=1.0), weightless])
    with_them = evaluate(Interactions.of(both, weight="w"), ["popularity"], options=FAST)
    without = evaluate(Interactions.of(events), ["popularity"], options=FAST)
    kept = without["metric"] != "gini"  # its catalogue is larger
    assert with_them[kept].equals(without[kept])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"models": ["als", "als"]},
            "expected different models, got 'als' twice; a mapping gives each a name",
        ),
        (
            {"models": {"popularity": "als"}},
            "expected popularity under the name 'popularity', got Estimator.'als'",
        ),
        ({"models": ["asl"]}, "unknown model 'asl'; known: als"),
        ({"k": 0}, "expected k as one or more whole numbers of at least 1, got 0"),
        ({"k": []}, r"expected k .* got \[\]"),
        ({"k": "ten"}, "expected k .* got 'ten'"),
        ({"share": 1.5}, r"expected a share between 0 and 1, got 1\.5"),
        ({"share": "0.2"}, "expected a share between 0 and 1, got '0.2'"),
        ({"share": None}, "expected a share between 0 and 1, got None"),
        ({"k": True}, "expected k .* got True"),
        ({"options": {"seed": 1}}, "expected options as TrainingOptions"),
        ({"models": None}, "expected a list of models, by name or made by create, got None"),
        ({"models": [5]}, "expected models by name or made by create, got 5"),
        ({"models": [["als"]]}, r"expected models by name or made by create, got \['als'\]"),
        ({"models": {1: "als"}}, "expected models by name or made by create, got 'als' as 1"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(
    arguments: dict[str, Any], message: str, data: Interactions
) -> None:
    with pytest.raises(ModelError, match=message):
        evaluate(data, **({"models": ["popularity"]} | arguments))


def test_data_that_cannot_be_split_in_time_are_refused() -> None:
    pairs = {"user": [1, 1, 2], "item": [5, 6, 5]}
    with pytest.raises(ModelError, match=r"expected interactions with times, .* got none"):
        evaluate(Interactions.of(pairs), ["popularity"])
    with pytest.raises(
        ModelError,
        match=r"expected events before the last 0\.2 of the events, which start at 1970-01-01 00:",
    ):
        evaluate(Interactions.of({**pairs, "time": [0, 0, 0]}, unit="s"), ["popularity"])
    with pytest.raises(
        ModelError, match=r"expected users with a history and known items to find in the last 0\.2 of"
    ):
        evaluate(Interactions.of({**pairs, "user": [1, 2, 3], "time": [0, 1, 2]}, unit="s"), ["popularity"])


def test_k_is_at_most_the_number_of_items(data: Interactions) -> None:
    for k in (10**30, np.int64(2), np.array([1, 2]), [40, 50]):
        figures = evaluate(data, ["popularity"], k=k, options=FAST)
        assert figures["k"].max() <= data.shape[1]
    with pytest.raises(ModelError, match=r"expected Interactions .* got DataFrame"):
        evaluate(frame(), ["popularity"])


def test_a_model_without_lists_keeps_its_rows() -> None:
    """No two items were met by one user in the past, so item_knn knows no neighbours."""
    events = {"user": [1, 2, 3, 4, 1], "item": list("ababb"), "time": range(5)}
    figures = evaluate(Interactions.of(pd.DataFrame(events), unit="s"), ["item_knn"], k=1, options=FAST)
    rows = figures[figures["model"] == "item_knn"].set_index("metric")["value"]
    assert rows["coverage"] == 0
    assert rows.drop("coverage").isna().all()
    popularity = figures[figures["model"] == "popularity"].set_index("metric")["value"]
    assert popularity["recall"] == 1
    assert popularity.index.equals(rows.index)
