"""Titles, attributes and availability, from a catalogue's file or from the events."""

from __future__ import annotations

import pytest
from worlds.dataset_world import Shop

from tasks.dataset.matches import Matches
from tasks.runtime.errors import InputError

NOON = "2026-03-10 12:00:00"


@pytest.fixture
def shop(tmp_path, duckdb_engine):
    return Shop(tmp_path, duckdb_engine)


def test_titles_and_attributes_come_from_the_last_row_of_an_id(shop):
    shop.log(("u", "i", NOON), ("u", "j", NOON), ("v", "k", NOON), ("v", "l", NOON))
    path = shop.file(
        "items.csv",
        "id,name,tags,sold",
        "i,Other,garden,no",
        "i,Lamp,home|light|home,yes",
        "j,Chair,,FALSE",
        "k,,|home|,",
        ",Nobody,x,yes",
        "z,Unmet,home,yes",
    )
    catalogue = {
        "path": path,
        "id": "id",
        "title": "name",
        "available": "sold",
        "separator": "|",
        "attributes": {"tag": "tags"},
    }
    built = shop.build(
        items=catalogue,
        top_n={"blocked_items": ["l"]},
        popular={"segments": ["tag"], "windows": [0], "fallback_window": 0},
    )
    assert built.rows("items", "item_id", "title", "available") == [
        ("i", "Lamp", True), ("j", "Chair", False), ("k", None, True), ("l", None, False),
    ]  # fmt: skip
    assert built.rows("item_attributes", "name", "id", "value") == [
        ("tag", "i", "home"), ("tag", "i", "light"), ("tag", "k", "home"), ("tag", "z", "home"),
    ]  # fmt: skip
    assert built.popular("segment_value", "rank", "item_id", segment="tag") == [
        ("home", 1, "i"), ("home", 2, "k"), ("light", 1, "i"),
    ]  # fmt: skip
    assert built.popular("item_id", segment="all") == ["i", "k"]
    assert built.summary.catalogues["items"].rows == 6


def test_titles_from_events_are_the_most_common_then_the_smallest(shop):
    shop.log(
        ("u", "i", NOON, {"colour": "red"}),
        ("v", "i", NOON, {"colour": "blue"}),
        ("u", "i", NOON, {"colour": "red"}),
        ("u", "j", NOON, {"colour": "blue"}),
        ("v", "j", NOON, {"colour": "Blue"}),
        ("v", "k", NOON),
    )
    built = shop.build(items={"title": "colour"}, users={"attributes": {"taste": "colour"}})
    assert built.rows("items", "item_id", "title") == [("i", "red"), ("j", "Blue"), ("k", None)]
    assert built.rows("user_attributes", "name", "id", "value") == [
        ("taste", "u", "red"),
        ("taste", "v", "Blue"),
    ]


def test_ids_of_a_catalogue_are_read_like_ids_of_logs(shop):
    shop.log((1, 10, NOON), (2, 20, NOON))
    path = shop.file("items.csv", "id,name", "10.0,Ten", "20,Twenty", "2e1,No", "x,No")
    built = shop.build(
        source={"user_id_type": "int64", "item_id_type": "int64"},
        items={"path": path, "id": "id", "title": "name"},
    )
    assert built.rows("items", "item_id", "title") == [(10, "Ten"), (20, "Twenty")]


def test_an_unreadable_catalogue_is_a_single_message(shop):
    shop.log(("u", "i", NOON), ("v", "j", NOON))
    for path, complaint in (
        (str(shop.folder / "none.csv"), "none.csv"),
        (shop.file("empty.csv", "id,name"), "expected rows, got none"),
        (shop.file("ragged.csv", "id,name", "i,x,y", "j,x,y"), "got none; ragged_line in "),
        (shop.file("other.csv", "key,name", "i,x"), "id"),
    ):
        with pytest.raises(InputError, match=r"\[items\]") as caught:
            shop.build(items={"path": path, "id": "id", "title": "name"})
        assert complaint in str(caught.value)


def test_blocked_ids_must_have_the_type_of_the_logs(shop):
    shop.log((1, 10, NOON), (2, 20, NOON))
    ids = {"user_id_type": "int64", "item_id_type": "int64"}
    built = shop.build(source=ids, top_n={"blocked_items": ["10"]})
    assert built.rows("items", "item_id", "available") == [(10, False), (20, True)]
    for wrong in ("x", 2**70):
        with pytest.raises(InputError, match=r"top_n\.blocked_items: expected ids of type int64"):
            shop.build(source=ids, top_n={"blocked_items": [wrong]})


def test_the_words_that_mean_no_value_hold_for_every_column_of_a_catalogue(shop):
    shop.log(*(("u", item, NOON) for item in ("i", "j", "-9")))
    path = shop.file("items.csv", "id,name,kind,sold", "i,-,red|-,-", "j,J,-,no", "-9,Never,blue,no")
    built = shop.build(
        items={
            "path": path,
            "id": "id",
            "title": "name",
            "available": "sold",
            "attributes": {"kind": "kind"},
            "null_values": ["-", "-9"],
        }
    )
    assert built.rows("items", "item_id", "title", "available") == [
        ("-9", None, True), ("i", None, True), ("j", "J", False),
    ]  # fmt: skip
    assert built.rows("item_attributes", "id", "value") == [("i", "red|-")]
    assert built.summary.matches["items"].unreadable == 1


def test_only_items_of_the_catalogue_are_recommended_if_asked(shop):
    shop.log(*(("u", item, NOON) for item in "ijk"))
    catalogue = {"path": shop.file("items.csv", "id", "i", "j"), "id": "id"}
    for only, available in ((False, [True, True, True]), (True, [True, True, False])):
        built = shop.build(items=catalogue | {"only": only}, name=f"only {only}")
        assert built.rows("items", "available") == available
        assert built.summary.matches["items"] == Matches(ids=2, matched=2, missing=1)
