"""Evaluations of a dataset: every split, segments and comparisons, with values worked by hand."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from worlds.dataset_world import Shop

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.evaluation.evaluation import (
    Evaluation,
    evaluation_configuration,
    measure_on_split,
    with_references,
)
from tasks.evaluation.names import REFERENCES, SPLITS
from tasks.evaluation.tables import evaluation_document
from tasks.runtime.errors import UserError


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a dataset of 24 users in two groups with 6 of 9 items each, and attributes of both."""
    folder = tmp_path_factory.mktemp("shop")
    engine = DuckDBEngine(folder / "engine", 2**29, 1)
    users = {"path": str(folder / "users.csv"), "id": "id", "attributes": {"group": "group"}}
    items = {"path": str(folder / "items.csv"), "id": "id", "separator": "|", "attributes": {"kind": "kind"}}
    shop = Shop(folder, engine, users=users, items=items, engine={"threads": 1}, evaluation={"ks": [1, 3]})
    shop.file(
        "users.csv", "id,group", *(f"u{user:02d},{'even' if user % 2 == 0 else ''}" for user in range(24))
    )
    shop.file(
        "items.csv", "id,kind", *(f"i{item},{'small|red' if item < 4 else 'small'}" for item in range(9))
    )
    shop.log(
        *(
            (
                f"u{user:02d}",
                f"i{(user % 2) * 3 + (user // 2 + step) % 6}",
                f"2026-03-0{step + 1} 10:{user:02d}:00",
            )
            for user in range(24)
            for step in range(6)
        )
    )
    yield shop.build()
    engine.close()


@pytest.fixture(scope="module")
def evaluated(shop) -> Evaluation:
    configuration = evaluation_configuration(shop.configuration, ["popularity"])
    return measure_on_split(configuration, shop.folder, "leave-last-out")


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "temporal"])
def test_every_split_measures_every_model_on_the_same_users(shop, split) -> None:
    evaluation = measure_on_split(
        evaluation_configuration(shop.configuration, ["als"], changes={"als": {"factors": 2}}),
        shop.folder,
        split,
    )
    assert list(evaluation.measured) == ["als", *REFERENCES]
    assert bool(evaluation.warnings) == (split == "random")
    for runs in evaluation.measured.values():
        assert len(runs) == len(evaluation.parts)
        for part, first in zip(runs, evaluation.measured["als"], strict=True):
            assert part.users.tolist() == first.users.tolist()
            assert part.counts == first.counts


def test_leave_last_out_tests_on_the_last_item_of_every_user(evaluated) -> None:
    (measured,) = evaluated.measured["popularity"]
    assert measured.users.tolist() == list(range(24))
    assert measured.history.tolist() == [5] * 24
    last_items = [(user % 2) * 3 + (user // 2 + 5) % 6 for user in range(24)]
    assert measured.relevant.indices.tolist() == last_items
    assert measured.popularity.sum() == 24 * 5


def test_serendipity_and_diversity_match_values_by_hand(evaluated) -> None:
    (popular,), (neighbours,) = evaluated.measured["popularity"], evaluated.measured["item_knn"]
    assert not popular.values["serendipity", 3].any()  # it lists only popular items
    assert neighbours.values["serendipity", 3].max() > 0
    for measured in (popular, neighbours):
        red = [[item < 4 for item in items if item >= 0] for items in measured.items.tolist()]
        pairs = [[first != second for first, second in combinations(items, 2)] for items in red]
        by_hand = [0.5 * sum(differ) / len(differ) if differ else math.nan for differ in pairs]
        diversity = measured.values["attribute_diversity", 3]  # half in common
        assert diversity.tolist() == pytest.approx(by_hand, nan_ok=True)
        assert 0 < np.nanmean(measured.values["diversity", 3]) < 1
        assert not {("diversity", 1), ("attribute_diversity", 1)} & measured.values.keys()
    metrics = {row["metric"] for row in evaluation_document(evaluated, 1)["metrics"]}
    assert {"coverage", "novelty", "serendipity", "diversity", "attribute_diversity"} <= metrics


def test_comparisons_are_differences_and_segments_partition_the_users(evaluated) -> None:
    segments = ["activity", "popularity", "group", "kind"]
    document = evaluation_document(evaluated, 1, against="random", segments=segments)
    rows = {(row["model"], row["metric"], row["k"]): row for row in document["metrics"]}
    for row in document["comparisons"]:
        reference = rows["random", row["metric"], row["k"]]["value"]
        assert row["difference"] == pytest.approx(
            rows[row["model"], row["metric"], row["k"]]["value"] - reference
        )
    by_segment = {
        (row["segment"], row["value_of"]): row
        for row in document["segments"]
        if (row["model"], row["metric"], row["k"]) == ("item_knn", "ndcg", 3)
    }
    whole = rows["item_knn", "ndcg", 3]["value"]
    assert [by_segment["activity", name]["users"] for name in ("new", "light", "heavy")] == [0, 24, 0]
    assert by_segment["activity", "light"]["value"] == pytest.approx(whole)
    assert by_segment["group", "even"]["users"] == 12  # other users have no group
    assert by_segment["popularity", "head"]["users"] + by_segment["popularity", "tail"]["users"] == 24
    assert by_segment["kind", "small"]["value"] == pytest.approx(whole)  # every item is small
    red = sum((user % 2) * 3 + (user // 2 + 5) % 6 < 4 for user in range(24))
    assert by_segment["kind", "red"]["users"] == red


def test_rolling_windows_never_train_on_their_test_events(shop) -> None:
    evaluation = measure_on_split(
        evaluation_configuration(shop.configuration, ["popularity"]), shop.folder, "rolling", windows=3
    )
    trained = [window.counts["train_events"] for window in evaluation.measured["popularity"]]
    assert trained == sorted(trained)
    assert all(window.counts["test_events"] > 0 for window in evaluation.measured["popularity"])
    ends = [
        window.counts["train_events"] + window.counts["test_events"]
        for window in evaluation.measured["popularity"]
    ]
    assert trained[1:] == ends[:-1]
    assert ends[-1] == 144


def test_unknown_names_are_refused_with_the_known_ones(shop, evaluated) -> None:
    with pytest.raises(UserError, match="--against ease: expected one of popularity, random"):
        evaluation_document(evaluated, 1, against="ease")
    with pytest.raises(
        UserError, match="--segments colour: expected one of activity, popularity, group, kind"
    ):
        evaluation_document(evaluated, 1, segments=["colour"])
    with pytest.raises(UserError, match="--split: expected one of temporal, leave-last-out"):
        measure_on_split(shop.configuration, shop.folder, "by name")
    with pytest.raises(UserError, match="--set: expected one of the models popularity, random"):
        evaluation_configuration(shop.configuration, ["popularity"], changes={"als": {"factors": 3}})


def test_reference_models_are_added_once_after_the_models() -> None:
    assert with_references(["als", "popularity"]) == (
        "als",
        "popularity",
        "random",
        "recent_popularity",
        "item_knn",
    )
