"""Predicates of the configuration: what is allowed means the same on both engines, all else is refused."""

from __future__ import annotations

import duckdb
import pytest

from sql.errors import EngineError
from sql.interactions.predicate import portable

COLUMNS = {"user_id", "item_id", "value", "kind", "timestamp"}


DATA = """
    SELECT * FROM (VALUES
        (1, 'X', 'i1', 1.0, 'a', TIMESTAMP '2026-01-01'),
        (2, ' x ', 'i10', -1.0, 'b', TIMESTAMP '2026-01-02'),
        (3, 'y', 'i3', NULL, 'c', TIMESTAMP '2026-01-03')
    ) AS t (row, user_id, item_id, value, kind, timestamp)"""


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("value < 0", [2]),
        ("value BETWEEN 1 AND 3 AND NOT kind = 'b'", [1]),
        ("kind IN ('a', 'c') OR value IS NULL", [1, 3]),
        ("kind LIKE 'b%'", [2]),
        ("lower(trim(user_id)) = 'x'", [1, 2]),
        ("length(item_id) > 1 AND abs(value) >= 1", [1, 2]),
        ("regexp_like(item_id, '^i[0-9]$')", [1, 3]),
        ("coalesce(value, 0) + 1 = 1", [3]),
        ("value / 0 > 1 OR value % 0 = 0", []),
        ("timestamp >= '2026-01-02'", [2, 3]),
    ],
)
def test_a_predicate_selects_its_rows(text, rows):
    query = f"SELECT row FROM ({DATA}) WHERE {portable(text, COLUMNS, 'duckdb')} ORDER BY row"
    found = duckdb.sql(query).fetchall()
    assert [row for (row,) in found] == rows


@pytest.mark.parametrize(
    "text",
    [
        "value < 0; DROP TABLE interactions",
        "value IN (SELECT value FROM other)",
        "EXISTS (SELECT 1)",
        "(SELECT count(*) FROM secrets) > 0",
        "value = (SELECT 1)",
        "read_text('/etc/passwd') IS NULL",
        "getenv('HOME') = ''",
        "system('id') = 0",
        "kind = current_user",
        "random() < 0.5",
        "now() > timestamp",
        "CAST(kind AS INTEGER) = 1",
        "kind::INTEGER = 1",
        "CASE WHEN value = 1 THEN TRUE END",
        "row_number() OVER () = 1",
        "count(*) > 1",
        "kind = $1",
        "kind = ?",
        "t.kind = 'a'",
        "other.main.kind = 'a'",
        "kind = 'a\\'",
        "kind = 'a\nb'",
        "unknown = 1",
        '"user id" = 1',
        "*",
        "SELECT 1",
        "DROP TABLE interactions",
        "",
        "   ",
        "value <",
        "value < 0)",
        "value < 0 UNION SELECT 1",
        "COLUMNS('.*') = 1",
        "[value] = [1]",
        "{'a': value} = 1",
        "list_contains([1], value)",
        "kind SIMILAR TO 'a'",
    ],
)
def test_whatever_is_not_allowed_is_refused(text):
    with pytest.raises(EngineError, match=r"expected|unknown column"):
        portable(text, COLUMNS, "duckdb")


@pytest.mark.parametrize("comment", ["-- ' OR 1 = 1", "/* ' OR 1 = 1 */", "/* */ -- */ OR 1 = 1"])
def test_comments_are_no_part_of_a_predicate(comment):
    assert portable(f"value < 0 {comment}", COLUMNS, "duckdb") == "value < 0"


def test_an_unknown_column_is_told_with_the_known_ones():
    with pytest.raises(
        EngineError, match="unknown column 'vlaue' in 'vlaue < 0'; known: item_id, kind, timestamp"
    ):
        portable("vlaue < 0", COLUMNS, "spark")


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_division_by_zero_is_null_on_both_engines(engine):
    assert portable("1 / (value - 1) > 2", COLUMNS, engine) == "1 / NULLIF((value - 1), 0) > 2"
