"""Popular items worked by hand: windows, segments, ties, and the rankings of the ladder."""

from __future__ import annotations

import math

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
    ladder = built.rows("ladder", "segment", "segment_value", "window_days", "item_index", "score")
    once, twice = round(1e6 * once), round(1e6 * twice)
    month = [(0, once + twice), (1, once), (2, 2 * once)]
    assert ladder == [
        *(("all", "all", 0, item, score) for item, score in month),
        *(("all", "all", 30, item, score) for item, score in month),
        ("country", "DE", 30, 0, once + twice), ("country", "DE", 30, 1, once),
        ("country", "DE", 30, 2, once),
        ("country", "FR", 30, 2, once),
    ]  # fmt: skip


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
