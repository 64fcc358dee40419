"""The DuckDB file of a release: tables, comments, views, and a hash of its content."""

from __future__ import annotations

import datetime as dt

import duckdb
import pyarrow as pa
from worlds.release_world import World

from tasks.release.database import content_hash
from tasks.release.tables import TABLES


def test_the_content_hash_knows_values_order_and_nulls_but_not_batches() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.int64())])

    def hashed(a: list[str | None], b: list[int | None], batch: int = 10) -> str:
        return content_hash(pa.table([a, b], schema=schema).to_batches(batch), schema)

    base = hashed(["x", "yz", None], [1, None, 3])
    assert hashed(["x", "yz", None], [1, None, 3], batch=1) == base
    others = [
        hashed(["xy", "z", None], [1, None, 3]),
        hashed(["x", "yz", ""], [1, None, 3]),
        hashed(["x", "yz", None], [1, 0, 3]),
        hashed(["yz", "x", None], [1, None, 3]),
    ]
    assert len({base, *others}) == 5
    assert hashed([], []) != base


def test_the_database_has_the_tables_comments_and_views_and_an_old_format(fresh: World) -> None:
    release = fresh.publish()
    with duckdb.connect(str(release.database), read_only=True) as con:
        for name in TABLES:
            rows = con.execute(f"SELECT * FROM {name}").fetchall()
            assert rows == con.execute(f"SELECT * FROM '{release.table(name)}'").fetchall()
        tags = con.execute(
            "SELECT tags FROM duckdb_databases() WHERE database_name = 'nightshelf'"
        ).fetchone()
        assert tags == ({"storage_version": "v1.4.0+"},)
        uncommented = "SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND table_name = ANY(?)"
        assert con.execute(uncommented, [list(TABLES)]).fetchone() == (0,)
        assert con.execute("SELECT comment FROM duckdb_tables() WHERE comment IS NULL").fetchall() == []
        sql = "SELECT title, reason_title FROM recommendations_with_titles WHERE user_id = 10 ORDER BY rank"
        assert con.execute(sql).fetchall() == [
            ("Title 102", "Title 100"),
            ("Title 103", None),
            ("Title 104", None),
        ]
        assert con.execute("SELECT similar_title FROM similar_items_with_titles LIMIT 1").fetchone()
        assert con.execute("SELECT title FROM popular_items_with_titles LIMIT 1").fetchone()
        info = con.execute(
            "SELECT release_id, as_of, users, recommendations, items FROM release_info"
        ).fetchone()
        assert info == ("2026-01-02-r1", dt.date(2026, 1, 2), 4, 12, 8)
