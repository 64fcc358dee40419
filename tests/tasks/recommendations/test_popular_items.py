"""Popular items worked by hand: windows, segments, ties, and the rankings of the ladder."""

from __future__ import annotations

import math
from datetime import date

import pyarrow as pa
import pytest
from pydantic import ValidationError
from worlds.dataset_world import Shop

NOON = "2026-03-10 12:00:00"


@pytest.fixture
def shop(tmp_path, duckdb_engine):
    return Shop(tmp_path, duckdb_engine)


def test_popularity_by_window_and_segment(shop):
    shop.log(
        ("a", "i", NOON), ("a", "i", NOON), ("b", "i", "2026-03-10 00:00:00"),
        ("a", "j", "2026-03-09 23:59:59"), ("b", "k", "2026-03-04 00:00:00"),
        ("c", "k", "2026-03-03 23:59:59"), ("c", "l", "2026-01-01 00:00:00"),
    )  # fmt: skip
    path = shop.file("users.csv", "id,country", "a,DE", "b,DE", "c,FR", "d,IT")
    built = shop.build(
        users={"path": path, "id": "id", "attributes": {"country": "country"}},
        popular={"segments": ["country"], "fallback_segment": "country", "n": 2},
        top_n={"blocked_items": ["l"]},
    )
    once, twice = math.log(2), math.log(3)  # the weight of one event and of two
    columns = ("rank", "item_id", "score", "users")
    assert rounded(built.popular(*columns, segment="all", window_days=1)) == rounded(
        [(1, "i", once + twice, 2)]
    )
    assert rounded(built.popular(*columns, segment="all", window_days=7)) == rounded(
        [(1, "i", once + twice, 2), (2, "j", once, 1)]  # k has the same score; n = 2
    )
    assert rounded(built.popular(*columns, segment="all", window_days=0)) == rounded(
        [(1, "i", once + twice, 2), (2, "k", 2 * once, 2)]
    )
    assert rounded(built.popular("segment_value", *columns, segment="country", window_days=7)) == rounded(
        [("DE", 1, "i", once + twice, 2), ("DE", 2, "j", once, 1)]
    )
    assert rounded(built.popular("segment_value", *columns, segment="country", window_days=30)) == rounded(
        [("DE", 1, "i", once + twice, 2), ("DE", 2, "j", once, 1), ("FR", 1, "k", once, 1)]
    )
    ladder = built.rows("ladder", "segment", "segment_value", "window_hours", "item_index", "score")
    once, twice = round(1e6 * once), round(1e6 * twice)
    month = [(0, once + twice), (1, once), (2, 2 * once)]
    assert ladder == [
        *(("all", "all", 0, item, score) for item, score in month),
        *(("all", "all", 720, item, score) for item, score in month),
        ("country", "DE", 720, 0, once + twice), ("country", "DE", 720, 1, once),
        ("country", "DE", 720, 2, once),
        ("country", "FR", 720, 2, once),
    ]  # fmt: skip


def test_hours_end_with_the_date_and_are_exact_when_clocks_change(shop):
    # on 29 March, London's clocks go from 01:00 to 02:00: 35 hours before its end, it is 12:00 on the 28th
    shop.log(
        ("a", "last", "2026-03-29 23:59:59"), ("a", "six", "2026-03-29 18:00:00"),
        ("a", "before", "2026-03-29 17:59:59"), ("a", "first", "2026-03-29 00:00:00"),
        ("a", "yesterday", "2026-03-28 23:59:59"), ("a", "day", "2026-03-28 12:00:00"),
        ("a", "older", "2026-03-28 11:59:59"), ("a", "next", "2026-03-30 00:00:00"),
    )  # fmt: skip
    windows = {"windows": ["35h", 0, "6h", "24h"], "fallback_window": "6h", "n": 99}
    built = shop.build(date(2026, 3, 29), source={"time_zone": "Europe/London"}, popular=windows)
    assert built.popular_table.schema.field("window_days").type == pa.float64()
    listed = {days: set(built.popular("item_id", window_days=days)) for days in (0.25, 1, 35 / 24)}
    assert listed == {
        0.25: {"last", "six"},
        1: {"last", "six", "before", "first"},
        35 / 24: {"last", "six", "before", "first", "yesterday", "day"},
    }
    assert len(built.popular("item_id", window_days=0)) == 7
    assert set(built.rows("ladder", "window_hours")) == {0, 6}


@pytest.mark.parametrize("name", ["all", "kind"])
def test_the_name_of_a_segment_is_unambiguous(shop, name):
    both = {
        "users": {"attributes": {"kind": "colour"}},
        "items": {"attributes": {"kind": "colour", "all": "colour"}},
    }
    with pytest.raises(ValidationError, match="expected an attribute of either users or items"):
        shop.configuration(**both, popular={"segments": [name]})


def rounded(rows):
    return [tuple(round(value, 5) if isinstance(value, float) else value for value in row) for row in rows]
