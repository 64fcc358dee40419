"""Evaluations over a dataset's arrays: every split, segments and comparisons, with values known by hand."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from worlds.dataset_world import Shop

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.evaluation.evaluation import Evaluation, of_arrays, to_measure, with_floors
from tasks.evaluation.names import REFERENCES, SPLITS
from tasks.evaluation.tables import document_of
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
    configuration = to_measure(shop.configuration, ["popularity"])
    return of_arrays(configuration, shop.folder, "leave-last-out")


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "temporal"])
def test_every_split_measures_every_model_on_the_same_users(shop, split) -> None:
    done = of_arrays(
        to_measure(shop.configuration, ["als"], changes={"als": {"factors": 2}}), shop.folder, split
    )
    assert list(done.measured) == ["als", *REFERENCES]
    assert bool(done.warnings) == (split == "random")
    for runs in done.measured.values():
        assert len(runs) == len(done.parts)
        for one, first in zip(runs, done.measured["als"], strict=True):
            assert one.users.tolist() == first.users.tolist()
            assert one.counts == first.counts


def test_leave_last_out_asks_for_the_last_item_of_everybody(evaluated) -> None:
    (one,) = evaluated.measured["popularity"]
    assert one.users.tolist() == list(range(24))
    assert one.history.tolist() == [5] * 24
    wanted = [(user % 2) * 3 + (user // 2 + 5) % 6 for user in range(24)]
    assert one.relevant.indices.tolist() == wanted
    assert one.popularity.sum() == 24 * 5


def test_lists_are_compared_with_what_is_popular_and_with_each_other(evaluated) -> None:
    (popular,), (near,) = evaluated.measured["popularity"], evaluated.measured["item_knn"]
    assert not popular.values["serendipity", 3].any()  # it lists what is popular, and nothing else
    assert near.values["serendipity", 3].max() > 0
    for measured in (popular, near):
        red = [[item < 4 for item in items if item >= 0] for items in measured.items.tolist()]
        pairs = [[one != other for one, other in combinations(items, 2)] for items in red]
        by_hand = [0.5 * sum(differ) / len(differ) if differ else math.nan for differ in pairs]
        found = measured.values["attribute_diversity", 3]  # red and small, or small: half in common
        assert found.tolist() == pytest.approx(by_hand, nan_ok=True)
        assert 0 < np.nanmean(measured.values["diversity", 3]) < 1
        assert not {("diversity", 1), ("attribute_diversity", 1)} & measured.values.keys()  # no pair
    shown = {row["metric"] for row in document_of(evaluated, 1)["metrics"]}
    assert {"coverage", "novelty", "serendipity", "diversity", "attribute_diversity"} <= shown


def test_a_model_less_itself_is_nothing_and_segments_share_out_the_users(evaluated) -> None:
    segments = ["activity", "popularity", "group", "kind"]
    document = document_of(evaluated, 1, against="random", segments=segments)
    rows = {(row["model"], row["metric"], row["k"]): row for row in document["metrics"]}
    for row in document["comparisons"]:
        other = rows["random", row["metric"], row["k"]]["value"]
        assert row["difference"] == pytest.approx(
            rows[row["model"], row["metric"], row["k"]]["value"] - other
        )
    found = {
        (row["segment"], row["value_of"]): row
        for row in document["segments"]
        if (row["model"], row["metric"], row["k"]) == ("item_knn", "ndcg", 3)
    }
    whole = rows["item_knn", "ndcg", 3]["value"]
    assert [found["activity", name]["users"] for name in ("new", "light", "heavy")] == [0, 24, 0]
    assert found["activity", "light"]["value"] == pytest.approx(whole)
    assert found["group", "even"]["users"] == 12  # the others have no group, and are in no segment
    assert found["popularity", "head"]["users"] + found["popularity", "tail"]["users"] == 24
    assert found["kind", "small"]["value"] == pytest.approx(whole)  # every item is: several values each
    red = sum((user % 2) * 3 + (user // 2 + 5) % 6 < 4 for user in range(24))
    assert found["kind", "red"]["users"] == red


def test_rolling_windows_never_train_on_what_they_ask_for(shop) -> None:
    done = of_arrays(to_measure(shop.configuration, ["popularity"]), shop.folder, "rolling", windows=3)
    trained = [one.counts["train_events"] for one in done.measured["popularity"]]
    assert trained == sorted(trained)
    assert all(one.counts["test_events"] > 0 for one in done.measured["popularity"])
    ends = [one.counts["train_events"] + one.counts["test_events"] for one in done.measured["popularity"]]
    assert trained[1:] == ends[:-1]
    assert ends[-1] == 144


def test_mistakes_are_named(shop, evaluated) -> None:
    with pytest.raises(UserError, match="--against ease: expected one of popularity, random"):
        document_of(evaluated, 1, against="ease")
    with pytest.raises(
        UserError, match="--segments colour: expected one of activity, popularity, group, kind"
    ):
        document_of(evaluated, 1, segments=["colour"])
    with pytest.raises(UserError, match="--split: expected one of temporal, leave-last-out"):
        of_arrays(shop.configuration, shop.folder, "by name")
    with pytest.raises(UserError, match="--set: expected one of the models popularity, random"):
        to_measure(shop.configuration, ["popularity"], changes={"als": {"factors": 3}})


def test_floors_are_added_once_and_the_models_come_first() -> None:
    assert with_floors(["als", "popularity"]) == (
        "als",
        "popularity",
        "random",
        "recent_popularity",
        "item_knn",
    )
