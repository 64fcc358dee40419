"""Partitions by pyarrow: the rows and folders that DuckDB's own writer makes of the same query."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sql.engines import duckdb_engine
from sql.engines.duckdb_engine import DuckDBEngine
from sql.engines.partitions import DICTIONARY_ROWS, read_small
from sql.errors import EngineError

QUERY = """
SELECT
    CAST(i AS BIGINT) AS number,
    CASE WHEN i % 3 = 0 THEN NULL ELSE 'word ' || i % 7 END AS word,
    TIMESTAMP '2026-01-01 00:00:00' + INTERVAL (i) MINUTE AS at,
    DATE '2026-01-01' + CAST(i % 5 AS INTEGER) AS date,
    NULL AS nothing,
    CASE i % 4 WHEN 0 THEN 'a b' WHEN 1 THEN 'é/=%' WHEN 2 THEN '' END AS kind,
    CASE WHEN i < 9 THEN DATE '2026-02-03' END AS day
FROM range(3000) AS t(i)
"""


@pytest.fixture
def engine(tmp_path: Path):
    engine = DuckDBEngine(tmp_path / "engine", 2**30, 2)
    yield engine
    engine.close()


def folders(root: Path) -> dict[str, list[dict[str, object]]]:
    """Return the rows of each folder with files, in an order of their own."""
    found: dict[str, list[dict[str, object]]] = {}
    for path in sorted(root.rglob("*.parquet")):
        rows = pq.ParquetFile(path).read().to_pylist()
        found.setdefault(str(path.parent.relative_to(root)), []).extend(rows)
    return {name: sorted(rows, key=lambda row: row["number"]) for name, rows in found.items()}


def test_both_writers_make_the_same_folders_rows_and_types(engine, tmp_path, monkeypatch):
    engine.write(QUERY, tmp_path / "small", partition_by=("kind", "day"))
    monkeypatch.setattr(duckdb_engine, "MOST_ROWS_BYTES", 100)
    engine.write(QUERY, tmp_path / "large", partition_by=("kind", "day"))
    small, large = folders(tmp_path / "small"), folders(tmp_path / "large")
    assert set(small) == set(large)
    assert small == large
    assert any(len(rows) >= DICTIONARY_ROWS // 2 for rows in small.values())
    paths = [next((tmp_path / writer).rglob("*.parquet")) for writer in ("small", "large")]
    types = [dict(zip(s.names, s.types, strict=True)) for s in map(pq.read_schema, paths)]
    assert types[0] == types[1]


def test_rows_of_a_partition_keep_the_order_asked_for(engine, tmp_path):
    engine.write(QUERY, tmp_path / "rows", ("word", "number"), ("date",))
    for path in (tmp_path / "rows").rglob("*.parquet"):
        order = duckdb.sql(f"SELECT number FROM '{path}' ORDER BY word, number").fetchall()
        assert pq.ParquetFile(path).read(["number"])["number"].to_pylist() == [number for (number,) in order]


def test_no_rows_make_an_empty_folder(engine, tmp_path):
    engine.write(f"SELECT * FROM ({QUERY}) WHERE number < 0", tmp_path / "none", partition_by=("kind",))
    assert list((tmp_path / "none").iterdir()) == []


def test_an_error_in_the_middle_of_the_rows_is_an_error_of_the_engine(engine, tmp_path):
    failing = (
        "SELECT CASE WHEN i > 250000 THEN CAST('x' AS INT) END AS n, 'a' AS kind FROM range(300000) AS t(i)"
    )
    with pytest.raises(EngineError, match=r"DuckDB: .*Could not convert string"):
        engine.write(failing, tmp_path / "failed", partition_by=("kind",))


def test_more_rows_than_fit_are_left_in_the_reader():
    table = pa.table({"n": list(range(1_000))})
    batches = table.to_batches(max_chunksize=100)
    reader = pa.RecordBatchReader.from_batches(table.schema, iter(batches))
    assert read_small(reader, table.nbytes - 1) is None
    reader = pa.RecordBatchReader.from_batches(table.schema, iter(batches))
    assert read_small(reader, table.nbytes) == table
