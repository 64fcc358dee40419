"""A shelf answers from one release, whatever is published meanwhile, and says what it does not have."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.release_world import FACTS, World, whole_days

from tasks.release.publish import publish
from tasks.release.shelf import Shelf, open_shelf
from tasks.release.tables import TABLES
from tasks.runtime.errors import StoreError, UserError


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    world = World(tmp_path_factory.mktemp("words"), text=True)
    world.publish()
    return open_shelf(world.store.root)


@pytest.fixture
def shelf(root: Path) -> Shelf:
    return open_shelf(root)


def test_tables_are_those_of_the_release(shelf: Shelf) -> None:
    assert shelf.release_id == "2026-01-02-r1"
    for name in TABLES:
        assert shelf.table(name).equals(pq.read_table(shelf.release.folder / f"{name}.parquet"))
    with pytest.raises(UserError, match="unknown table 'people'; known: recommendations, similar_items"):
        shelf.table("people")


def test_a_user_gets_recommendations_and_a_stranger_what_is_popular_in_the_same_columns(shelf: Shelf) -> None:
    known, stranger = shelf.user(10), shelf.user(99)
    assert known["item_id"].to_pylist() == [102, 103, 104]
    assert known["title"].to_pylist() == ["Title 102", "Title 103", "Title 104"]
    assert stranger.schema == known.schema
    assert stranger.to_pylist() == [
        {
            "user_id": 99,
            "rank": 1,
            "item_id": 105,
            "title": "Title 105",
            "score": 1.0,
            "source": "popular_7_days",
            "reason_item_id": None,
            "reason_title": None,
        }
    ]
    assert shelf.user("10").equals(shelf.user(np.int64(10))) is shelf.user(10).equals(known) is True


def test_a_stranger_gets_no_more_rows_than_a_known_user(fresh: World) -> None:
    columns = {"segment": "all", "segment_value": "all", "window_days": 0, "score": 0.5, "users": 1}
    for rank, item in enumerate((102, 103, 104), 3):
        for name, value in (columns | {"rank": rank, "item_id": item}).items():
            fresh.tables["popular_items"][name].insert(rank - 1, value)
    fresh.publish()
    rows = open_shelf(fresh.store.root).user(99)
    assert rows["item_id"].to_pylist() == [100, 101, 102]
    assert set(rows["source"].to_pylist()) == {"popular_all_time"}


def test_ids_of_text_are_text(worded: Shelf) -> None:
    user = worded.table("recommendations")["user_id"][0].as_py()
    assert worded.user(user)["rank"].to_pylist() == [1, 2, 3]
    stranger = worded.user("nobody")
    assert stranger["user_id"].to_pylist() == ["nobody"] * stranger.num_rows
    assert stranger.schema == worded.user(user).schema
    with pytest.raises(UserError, match=r"expected a user_id of type VARCHAR \(text\), got 10"):
        worded.user(10)


@pytest.mark.parametrize("wrong", ["u1", "1.5", 1.5, True, None, 2**63])
def test_an_id_of_another_type_is_refused(shelf: Shelf, wrong: Any) -> None:
    for ask, column in ((shelf.user, "user_id"), (shelf.similar, "item_id")):
        with pytest.raises(UserError, match=rf"expected a {column} of type BIGINT \(a whole number\), got "):
            ask(wrong)


def test_similar_and_popular_items_and_queries_are_answered(shelf: Shelf) -> None:
    assert shelf.similar(100)["similar_item_id"].to_pylist() == [101, 102]
    assert shelf.similar(107).num_rows == 0
    assert shelf.popular()["window_days"].to_pylist() == [0, 0, 7]
    assert shelf.popular("country", "FR", 7)["item_id"].to_pylist() == [100]
    assert shelf.query("SELECT count(*) AS n FROM recommendations").to_pylist() == [{"n": 12}]
    with pytest.raises(UserError, match="expected one SELECT statement, got DROP"):
        shelf.query("DROP TABLE items")


def test_a_shelf_stays_with_its_release_and_refresh_follows_the_pointer(fresh: World) -> None:
    fresh.publish("2026-01-01")
    shelf = open_shelf(fresh.store.root)
    fresh.tables["recommendations"]["score"] = [
        score / 2 for score in fresh.tables["recommendations"]["score"]
    ]
    fresh.publish("2026-01-02")
    assert shelf.user(10)["score"][0].as_py() == 1.0
    assert max(shelf.table("recommendations")["score"].to_pylist()) == 1.0
    later = shelf.refresh()
    assert (repr(shelf), repr(later)) == ("Shelf('2026-01-01-r1')", "Shelf('2026-01-02-r1')")
    assert later.user(10)["score"][0].as_py() == 0.5


def test_other_releases_are_opened_by_id_or_date(fresh: World) -> None:
    fresh.publish("2026-01-01", "r1")
    fresh.publish("2026-01-01", "r0")
    fresh.publish("2026-01-02")
    shelf = open_shelf(str(fresh.store.root))
    published = ["2026-01-02-r1", "2026-01-01-r0", "2026-01-01-r1"]
    assert [release.release_id for release in shelf.releases()] == published
    assert shelf.at("2026-01-01-r1").release_id == "2026-01-01-r1"
    assert shelf.at("2026-01-01").release_id == shelf.at(date(2026, 1, 1)).release_id == "2026-01-01-r0"
    (shelf.at("2026-01-01").release.folder / "manifest.json").write_text("{")
    assert shelf.at("2026-01-01").release_id == "2026-01-01-r1"
    for when, message in (
        ("2026-01-09", r"no release of 2026-01-09 in .*; known: 2026-01-02-r1, 2026-01-01-r1, 2026-01-01-r0"),
        ("2026-01-09-r1", "unknown release '2026-01-09-r1'; known: "),
        ("yesterday", "expected a date YYYY-MM-DD, got 'yesterday'"),
    ):
        with pytest.raises(StoreError, match=message):
            shelf.at(when)


def test_a_store_that_is_not_there_or_empty_is_refused(tmp_path: Path, fresh: World) -> None:
    with pytest.raises(StoreError, match=r"no store in .*/nowhere: no such folder"):
        open_shelf(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="nothing is published in"):
        open_shelf(fresh.store.root)


def test_a_table_that_is_gone_or_damaged_is_an_error_that_says_what_to_do(fresh: World) -> None:
    fresh.publish()
    shelf = open_shelf(fresh.store.root)
    path = shelf.release.table("similar_items")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match=r"cannot read .*similar_items\.parquet: .*refresh\(\) opens"):
        shelf.table("similar_items")
    path.unlink()
    with pytest.raises(StoreError, match=r"cannot read .*similar_items\.parquet"):
        shelf.table("similar_items")
    assert isinstance(shelf.table("recommendations"), pa.Table)


def test_a_segment_or_window_that_is_not_there_is_refused_with_the_known_ones(shelf: Shelf) -> None:
    for arguments, message in (
        (("nope",), r"unknown segment 'nope'; known: all, country"),
        ((None,), "unknown segment None; known: "),
        (([1],), r"unknown segment \[1\]; known: "),
        (("country", 5), "expected a value of country as text, got 5"),
        (("all", None, 3), "unknown window_days 3; known: 0, 7"),
        (("all", None, "7"), "unknown window_days '7'; known: 0, 7"),
    ):
        with pytest.raises(UserError, match=message):
            shelf.popular(*arguments)
    assert shelf.popular("country", "XX").num_rows == 0
    with pytest.raises(UserError, match="expected one SELECT statement, got None"):
        shelf.query(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("store", [None, 5, b"store", "a\0b"])
def test_a_store_that_is_no_folder_is_refused(store: Any) -> None:
    with pytest.raises(StoreError, match=r"expected the folder of a store, got |no such folder"):
        open_shelf(store)


def test_a_release_that_is_gone_says_what_to_do_and_a_pointer_to_it_that_the_store_is_damaged(
    fresh: World,
) -> None:
    fresh.publish()
    shelf = open_shelf(fresh.store.root)
    shutil.rmtree(shelf.release.folder)
    for ask in (
        lambda: shelf.user(10),
        lambda: shelf.similar(100),
        shelf.popular,
        lambda: shelf.query("SELECT 1"),
    ):
        with pytest.raises(StoreError, match=r"^release .* is gone; refresh\(\) opens the current release$"):
            ask()
    with pytest.raises(
        StoreError, match=r"is damaged: its pointer leads to the release .*, which is missing"
    ):
        shelf.refresh()
    shutil.rmtree(fresh.store.root)
    with pytest.raises(StoreError, match="no store in "):
        shelf.refresh()


def in_hours(world: World) -> Shelf:
    """Return the shelf of a release whose all-time list is one of 6 hours, which is the fallback."""
    popular = world.tables["popular_items"]
    popular["window_days"] = [0.25 if days == 0 else days for days in popular["window_days"]]
    facts = FACTS | {"configuration": {"popular": {"fallback_window": "6h"}}}
    staging = world.stage("2026-01-02", facts=facts)
    publish(world.store, staging, world.audit(staging))
    return open_shelf(world.store.root)


def test_hours_are_parts_of_a_day(fresh: World) -> None:
    shelf = in_hours(fresh)
    assert shelf.popular(window_days=0.25)["item_id"].to_pylist() == [100, 101]
    assert set(shelf.user(99)["source"].to_pylist()) == {"popular_6_hours"}
    assert shelf.query("SELECT item_id FROM popular_items WHERE window_days = 7").num_rows == 2
    with pytest.raises(UserError, match=r"unknown window_days 7; known: 0\.25$"):
        shelf.popular(window_days=7)


def test_a_release_with_whole_days_answers_as_before(fresh: World) -> None:
    with whole_days():
        fresh.publish()
    shelf = open_shelf(fresh.store.root)
    assert shelf.table("popular_items")["window_days"].type == pa.int32()
    assert shelf.popular(window_days=0)["item_id"].to_pylist() == [100, 101]
    assert shelf.popular("country", window_days=7.0).num_rows == 2
    assert set(shelf.user(99)["source"].to_pylist()) == {"popular_all_time"}
    with pytest.raises(UserError, match=r"unknown window_days 0\.25; known: 0"):
        shelf.popular(window_days=0.25)
