"""The engines: equal relations, and one-line errors."""

from __future__ import annotations

import logging.config
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sql.engines import spark_session
from sql.engines.text import literal
from sql.errors import EngineError, EngineMissing


def test_a_table_is_written_and_read_back(engine, tmp_path):
    engine.table(
        "sample", pa.table({"day": ["b", "a", "b"], "n": [3, 1, 2], "none": pa.nulls(3, pa.string())})
    )
    engine.write("SELECT * FROM sample", tmp_path / "out", ("n",), ("day",))
    folders = sorted(path.name for path in (tmp_path / "out").glob("day=*"))
    assert folders == ["day=a", "day=b"]
    engine.parquet("reread", sorted((tmp_path / "out").glob("day=b/*.parquet")))
    assert engine.fetch("SELECT n, none FROM reread ORDER BY n").to_pylist() == [
        {"n": 2, "none": None},
        {"n": 3, "none": None},
    ]


def test_missing_columns_of_a_file_are_null(engine, tmp_path):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"a": [2]}), tmp_path / "two.parquet")
    engine.parquet("two_files", [tmp_path / "two.parquet", tmp_path / "one.parquet"])
    assert engine.fetch("SELECT b FROM two_files ORDER BY a").to_pylist() == [{"b": "x"}, {"b": None}]


def test_many_small_files_that_are_read_again_are_the_same_relation(engine, tmp_path):
    paths = [tmp_path / f"{number}.parquet" for number in range(101)]
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"a": [number]}), path)
    for chosen in (paths, paths, paths[1:], paths[:2]):
        engine.parquet("many", chosen, reread=True)
        expected = sum(int(path.stem) for path in chosen)
        assert engine.fetch("SELECT count(*) AS n, CAST(sum(a) AS BIGINT) AS s FROM many").to_pylist() == [
            {"n": len(chosen), "s": expected}
        ]
    paths[0].unlink()
    with pytest.raises(EngineError):
        engine.parquet("many", paths, reread=True)


def test_timestamps_are_written_without_a_zone(engine, tmp_path):
    engine.write("SELECT TIMESTAMP '2026-01-05 10:00:00' AS t", tmp_path / "out")
    [path] = (tmp_path / "out").glob("*.parquet")
    assert pq.read_schema(path).field("t").type == pa.timestamp("us")
    engine.parquet("times", [path])
    assert engine.fetch("SELECT unix_micros(t) AS t FROM times")["t"].to_pylist() == [1767607200000000]


def test_numbers_follow_the_order_of_the_key(engine):
    engine.table("keys", pa.table({"k": ["b", "a", "ü", "Z", "10", "9"]}))
    engine.number("numbered", "keys", "k", "index")
    rows = engine.fetch("SELECT k, index FROM numbered ORDER BY index").to_pylist()
    assert rows == [
        {"k": k, "index": index} for index, k in enumerate(sorted(["b", "a", "ü", "Z", "10", "9"]))
    ]


@pytest.mark.parametrize("text", ["it's", "a\\b", "\\", "tab\tand\nline", "'; DROP TABLE x; --", "é漢", ""])
def test_a_literal_evaluates_to_its_text(engine, text):
    assert engine.fetch(f"SELECT {literal(text)} AS t")["t"].to_pylist() == [text]


@pytest.mark.parametrize("columns", [{"a": "x", "we\\ird'\"": "y", "": "z"}])
def test_a_row_as_json_keeps_nulls_and_names(engine, columns):
    query = (
        f"SELECT {engine.dialect.json_row(columns)} AS raw FROM (SELECT 'q\"' AS x, NULL AS y, '\\n' AS z)"
    )
    if engine.name == "duckdb":
        query = query.replace("'\\n'", "chr(10)")
    assert engine.fetch(query)["raw"].to_pylist() == ['{"a":"q\\"","we\\\\ird\'\\"":null,"":"\\n"}']


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT nope", "nope"),
        ("SELECT * FROM nothing", "nothing"),
        ("SELEC 1", "SELEC"),
        ("SELECT CAST('x' AS INT) AS n", "x"),
    ],
)
def test_a_failed_query_raises_an_error_of_one_line(engine, query, message):
    with pytest.raises(EngineError, match=message) as failed:
        engine.fetch(query)
    assert "\n" not in str(failed.value)


@pytest.mark.spark
def test_spark_does_not_print_failed_queries_even_if_logging_is_configured_later(spark_engine, capfd):
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with pytest.raises(EngineError, match="nope"):
        spark_engine.fetch("SELECT nope")
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_an_error(engine, tmp_path):
    with pytest.raises(EngineError, match=r"missing\.parquet"):
        engine.parquet("missing", [tmp_path / "missing.parquet"])


def test_without_java_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(
        EngineMissing, match="the Spark engine needs Java 17 or newer, got no Java: install a JDK"
    ):
        spark_session.require_java()


def test_the_message_names_the_version_of_a_java_that_is_too_old(monkeypatch, tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EngineMissing, match="got Java 8"):
        spark_session.require_java()


QUIET = """
import sys
from pathlib import Path
from sql.errors import EngineError
from sql.engines.spark_engine import SparkEngine
for turn in range(2):
    java = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
    engine = SparkEngine(Path(sys.argv[1]) / str(turn), 2**29, 1, settings=java)
    assert engine.fetch("SELECT 1 AS n")["n"].to_pylist() == [1]
    try:
        engine.fetch("SELECT nope")
    except EngineError:
        pass
    engine.close()
"""


@pytest.mark.spark
@pytest.mark.usefixtures("spark_engine")  # skips without Java
def test_spark_starts_without_output_and_restarts_after_close(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
