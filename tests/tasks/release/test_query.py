"""Queries on a release: results, rejections and a quick start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from worlds.release_world import World

from tasks.release.query import popular, query, recommendations_of, similar_to
from tasks.runtime.errors import StoreError, UserError
from tasks.runtime.resources import Resources


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("numbers"))
    world.publish("2026-01-01")
    world.tables["recommendations"]["score"] = [
        score / 2 for score in world.tables["recommendations"]["score"]
    ]
    world.publish("2026-01-02")
    return world


@pytest.fixture(scope="module")
def text_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("text"), text=True)
    world.publish()
    return world


def test_a_query_reads_the_active_or_the_named_release(world: World) -> None:
    sql = "SELECT max(score) AS best FROM recommendations"
    answer = query(world.store, sql)
    assert isinstance(answer, pa.Table)
    assert answer.to_pydict() == {"best": [0.5]}
    assert query(world.store, sql, release="2026-01-01-r1").to_pydict() == {"best": [1.0]}
    with pytest.raises(StoreError, match="unknown release '2026-01-09-r1'"):
        query(world.store, sql, release="2026-01-09-r1")


@pytest.mark.parametrize(
    "sql",
    [
        "FROM items",
        "SHOW TABLES",
        "DESCRIBE recommendations",
        "SUMMARIZE items",
        "EXPLAIN SELECT 1",
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a;",
        "-- a remark\nVALUES (1)",
        "SELECT * FROM release_info",
    ],
)
def test_reading_statements_are_allowed(world: World, sql: str) -> None:
    assert query(world.store, sql).num_rows > 0


@pytest.mark.parametrize(
    "sql",
    [
        "COPY items TO '{file}'",
        "COPY (SELECT 1) TO '{file}' (FORMAT parquet)",
        "EXPORT DATABASE '{file}'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('{older}/recommendations.parquet')",
        "SELECT * FROM read_duckdb('{older}/nightshelf.duckdb', table_name='items')",
        "SELECT * FROM duckdb_secrets()",
        "ATTACH '{file}'",
        "ATTACH '{older}/nightshelf.duckdb' AS older",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "SELECT * FROM enable_logging()",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY items TO '{file}'",
        "SELECT * FROM query('SELECT 1; DROP TABLE items')",
        "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO items VALUES (1, 'x')",
        "WITH x AS (INSERT INTO items VALUES (1, 'x') RETURNING *) SELECT * FROM x",
        "EXPLAIN ANALYZE DELETE FROM items",
        "DROP TABLE items",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "CHECKPOINT",
        "SELECT * FROM hidden_from_sql",
        "SELECT * FROM range(100000000) AS a, range(100) AS b ORDER BY a.range + b.range DESC",
        "SELECT nothing FROM items",
        "SELECT CAST('x' AS INTEGER)",
        "SELCT 1",
        "SELECT * FROM items WHERE",
        "",
        "-- nothing",
    ],
)
def test_all_other_statements_are_rejected_in_a_single_line(world: World, tmp_path: Path, sql: str) -> None:
    hidden_from_sql = pa.table({"x": [1]})
    older = world.store.release("2026-01-01-r1")
    file = tmp_path / "file"
    before = sorted(path.name for path in world.store.release("2026-01-02-r1").iterdir())
    with pytest.raises(UserError) as refusal:
        query(world.store, sql.format(file=file, older=older), resources=Resources.of(200 * 2**20, 2))
    assert len(str(refusal.value)) > 10
    assert "\n" not in str(refusal.value)
    assert not file.exists()
    assert before == sorted(path.name for path in world.store.release("2026-01-02-r1").iterdir())
    assert hidden_from_sql.num_rows == 1


def test_messages_of_duckdb_are_kept(world: World) -> None:
    with pytest.raises(UserError, match='"nothing" not found'):
        query(world.store, "SELECT nothing FROM items")
    with pytest.raises(UserError, match="expected one SELECT statement, got SELECT, DROP"):
        query(world.store, "SELECT 1; DROP TABLE items")


def test_show_returns_recommendations_with_titles(world: World, text_world: World) -> None:
    answer = recommendations_of(world.store, "10", release="2026-01-01-r1")
    assert answer.column_names[:4] == ["user_id", "rank", "item_id", "title"]
    assert answer["item_id"].to_pylist() == [102, 103, 104]
    assert answer["reason_title"].to_pylist() == ["Title 100", None, None]
    assert recommendations_of(text_world.store, "10")["item_id"].to_pylist() == ["102", "103", "104"]
    assert recommendations_of(world.store, "11").num_rows == 0
    assert recommendations_of(text_world.store, "'; DROP TABLE items; --").num_rows == 0


def test_show_returns_similar_items(world: World) -> None:
    answer = similar_to(world.store, "100")
    assert answer["similar_title"].to_pylist() == ["Title 101", "Title 102"]
    assert similar_to(world.store, "105").num_rows == 0


def test_show_returns_popular_items(world: World) -> None:
    assert popular(world.store)["item_id"].to_pylist() == [100, 101]
    assert popular(world.store, "country")["segment_value"].to_pylist() == ["DE", "FR"]
    assert popular(world.store, "country", "FR", 7)["title"].to_pylist() == ["Title 100"]
    assert popular(world.store, "country", "FR", 0).num_rows == 0


@pytest.mark.parametrize(
    "text", ["abc", "1.0", "", " 1", "1_0", "007", "٣", "9223372036854775808", "-0", "1e3"]
)
def test_an_id_of_the_wrong_type_is_rejected(world: World, text: str) -> None:
    with pytest.raises(UserError, match=r"expected a user_id of type BIGINT \(a whole number\), got"):
        recommendations_of(world.store, text)


def test_the_smallest_and_largest_ids_are_accepted(world: World) -> None:
    for text in ("9223372036854775807", "-9223372036854775808", "0"):
        assert recommendations_of(world.store, text).num_rows == 0


def test_a_first_query_loads_nothing_heavy(world: World) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tasks.release.query import query; from tasks.store.layout import Store\n"
        "assert query(Store(Path(sys.argv[1])), 'FROM items').num_rows == 8\n"
        "heavy = {'pandas', 'torch', 'prefect', 'scipy', 'great_expectations'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(world.store.root)], check=True)


def test_an_empty_store_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is published in"):
        query(World(tmp_path).store, "SELECT 1")
