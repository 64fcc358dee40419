"""Whether ids of catalogues and blocked items are ids of the logs, and why not."""

from __future__ import annotations

import pyarrow as pa
import pytest
from worlds.dataset_world import Shop

from tasks.dataset.matches import Matches, match_ids, match_warnings, require_matches
from tasks.runtime.errors import InputError

NOON = "2026-03-10 12:00:00"


@pytest.fixture
def shop(tmp_path, duckdb_engine):
    """Return a shop whose logs have the items i001, i002 and i003."""
    shop = Shop(tmp_path, duckdb_engine)
    shop.log(("u1", "i001", NOON), ("u2", "i002", NOON), ("u2", "i003", NOON))
    return shop


def warnings(built) -> list[str]:
    return list(match_warnings(built.configuration, built.summary.matches))


def catalogue(shop: Shop, *rows: str, **keys: object) -> dict[str, object]:
    return {"path": shop.file("items.csv", "id,ok", *rows), "id": "id", **keys}


def test_a_catalogue_that_fits_needs_no_words(shop):
    built = shop.build(items=catalogue(shop, "i001,no", "i002,", "i003,", "i999,yes", available="ok"))
    assert built.summary.matches == {
        "items": Matches(ids=4, matched=3, missing=0),
        "blocked_items": Matches(ids=0, matched=0, missing=3),
    }
    assert warnings(built) == []
    require_matches(built.configuration, built.summary.matches)


def test_items_that_a_catalogue_lacks_repeats_or_cannot_name_are_counted(shop):
    built = shop.build(items=catalogue(shop, "i001,", "i001,", "i002,", ",", "i001,"))
    assert built.summary.matches["items"] == Matches(ids=2, matched=2, missing=1, unreadable=1, repeated=2)
    assert warnings(built) == [
        "[items] catalogue: 1 row has no id, or none of type string",
        "[items] catalogue: 2 rows repeat an id; the last row of an id counts",
        "[items] catalogue: 1 of the 3 items of the logs are not in it, and are recommended all the same; "
        "only = true holds them back",
    ]
    built = shop.build(items=catalogue(shop, "i001,", "i002,", only=True), name="only")
    assert warnings(built) == []


def test_a_catalogue_that_spells_some_ids_in_another_way_is_told(shop):
    rows = ["i001,no", "I002,no", "i003,"]
    differ = "; ids seem to differ by case or spaces: 'I002' for 'i002'"
    lacking = "[items] catalogue: 1 of the 3 items of the logs are not in it, and are "
    built = shop.build(items=catalogue(shop, *rows, available="ok"))
    assert warnings(built) == [f"{lacking}recommended all the same; only = true holds them back{differ}"]
    built = shop.build(items=catalogue(shop, *rows, only=True), name="only")
    assert warnings(built) == [f"{lacking}held back{differ}"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["I001,no", " i002,no"], "; ids seem to differ by case or spaces: 'I001' for 'i001'"),
        (["001,no", "002,no"], ""),
    ],
)
def test_a_catalogue_that_would_hold_back_nothing_is_refused(shop, rows, reason):
    for keys in ({"available": "ok"}, {"only": True}):
        built = shop.build(items=catalogue(shop, *rows, **keys), name="/".join(keys))
        with pytest.raises(InputError) as caught:
            require_matches(built.configuration, built.summary.matches)
        key = next(iter(keys))
        assert str(caught.value) == (
            f"[items] {key} would have no effect: none of the 2 ids of the catalogue is an id of the logs"
            + reason
        )


def test_ids_that_differ_by_zeros_or_a_decimal_point_are_named(tmp_path, duckdb_engine):
    shop = Shop(tmp_path, duckdb_engine)
    shop.log(*(("u", item, NOON) for item in ("007", "10", "0", "42")))
    built = shop.build(items=catalogue(shop, "7,", "10.0,", "0.0,", "x,"), top_n={"blocked_items": [7, "42"]})
    fit = built.summary.matches["items"]
    assert (fit.ids, fit.matched, fit.missing) == (4, 0, 4)
    assert (fit.difference, fit.in_logs, fit.in_list) == ("leading zeros or a .0 at the end", "0", "0.0")
    differ = "; ids seem to differ by leading zeros or a .0 at the end: "
    assert warnings(built) == [
        f"[items] catalogue: it has only 0 of the 4 items of the logs{differ}'0.0' for '0'",
        f"[top_n] blocked_items: 1 of 2 are no item of the logs{differ}'7' for '007'",
    ]


def test_an_id_of_a_user_is_in_no_warning(shop):
    path = shop.file("users.csv", "id,land", "U1,DE", "U2,FR")
    built = shop.build(users={"path": path, "id": "id", "attributes": {"land": "land"}})
    assert warnings(built) == [
        "[users] catalogue: it has only 0 of the 2 users of the logs; ids seem to differ by case or spaces"
    ]


def test_whole_numbers_match_as_numbers(tmp_path, duckdb_engine):
    shop = Shop(tmp_path, duckdb_engine)
    shop.log((1, 10, NOON), (2, 20, NOON))
    built = shop.build(
        source={"user_id_type": "int64", "item_id_type": "int64"},
        items=catalogue(shop, "10.0,", "020,", "i30,"),
        top_n={"blocked_items": ["10", 30]},
    )
    assert built.summary.matches["items"] == Matches(ids=2, matched=2, missing=0, unreadable=1)
    assert warnings(built) == [
        "[items] catalogue: 1 row has no id, or none of type int64",
        "[top_n] blocked_items: 1 of 2 are no item of the logs",
    ]


TEXTS = ["i1", "I1", " i1", "007", "7", "7.0", "0", "0.0", "00", "", "日本", "1e3", None, "x" * 99]
NUMBERS = ["7", "7.0", "007", "x", "0", None, "-1.0", str(2**63 - 1), str(2**63)]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("id_type", "known", "listed"),
    [
        ("string", TEXTS, TEXTS),
        ("string", ["i1", "i2", "7"], ["I1", "I2", "x"]),
        ("string", ["i1", "i2", "7"], ["x", None]),
        ("string", ["007", "0", "日本"], ["7", "0.0", " 日本"]),
        ("int64", [7, 0, -1, 2**63 - 1], NUMBERS),
        ("int64", [5, 6, 77], ["007", "8"]),
    ],
)
def test_engines_agree_about_any_list(duckdb_engine, spark_engine, id_type, known, listed):
    kind = pa.int64() if id_type == "int64" else pa.string()
    ids = {7, 0, -1, 2**63 - 1, 8} if id_type == "int64" else {*listed} - {None}
    found = []
    for engine in (duckdb_engine, spark_engine):
        engine.table("items", pa.table({"item_id": pa.array([i for i in known if i is not None], kind)}))
        engine.table("listed", pa.table({"id": pa.array(sorted(ids), kind)}))
        engine.table("listed_rows", pa.table({"id_text": pa.array(listed, pa.string())}))
        found.append(match_ids(engine, "item", "listed", "listed_rows", id_type))
    assert found[0] == found[1]
    assert found[0].ids == len(ids)
