"""The engines: the same relations, and errors that say one thing."""

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
        "given", pa.table({"day": ["b", "a", "b"], "n": [3, 1, 2], "none": pa.nulls(3, pa.string())})
    )
    engine.write("SELECT * FROM given", tmp_path / "out", ("n",), ("day",))
    folders = sorted(path.name for path in (tmp_path / "out").glob("day=*"))
    assert folders == ["day=a", "day=b"]
    engine.parquet("again", sorted((tmp_path / "out").glob("day=b/*.parquet")))
    assert engine.fetch("SELECT n, none FROM again ORDER BY n").to_pylist() == [
        {"n": 2, "none": None},
        {"n": 3, "none": None},
    ]


def test_columns_that_a_file_lacks_are_null(engine, tmp_path):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"a": [2]}), tmp_path / "two.parquet")
    engine.parquet("two_files", [tmp_path / "two.parquet", tmp_path / "one.parquet"])
    assert engine.fetch("SELECT b FROM two_files ORDER BY a").to_pylist() == [{"b": "x"}, {"b": None}]


def test_timestamps_are_written_without_a_zone(engine, tmp_path):
    engine.write("SELECT TIMESTAMP '2026-01-05 10:00:00' AS t", tmp_path / "out")
    [path] = (tmp_path / "out").glob("*.parquet")
    assert pq.read_schema(path).field("t").type == pa.timestamp("us")
    engine.parquet("times", [path])
    assert engine.fetch("SELECT unix_micros(t) AS t FROM times")["t"].to_pylist() == [1767607200000000]


def test_numbers_follow_the_order_of_the_key(engine):
    engine.table("keys", pa.table({"k": ["b", "a", "ü", "Z", "10", "9"]}))
    engine.number("numbered", "keys", "k", "place")
    found = engine.fetch("SELECT k, place FROM numbered ORDER BY place").to_pylist()
    assert found == [
        {"k": k, "place": place} for place, k in enumerate(sorted(["b", "a", "ü", "Z", "10", "9"]))
    ]


@pytest.mark.parametrize("text", ["it's", "a\\b", "\\", "tab\tand\nline", "'; DROP TABLE x; --", "é漢", ""])
def test_a_literal_is_the_text(engine, text):
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
def test_a_query_that_fails_is_an_error_of_one_line(engine, query, message):
    with pytest.raises(EngineError, match=message) as failed:
        engine.fetch(query)
    assert "\n" not in str(failed.value)


@pytest.mark.spark
def test_spark_prints_no_failed_query_even_where_others_set_up_logging_later(spark_engine, capfd):
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with pytest.raises(EngineError, match="nope"):
        spark_engine.fetch("SELECT nope")
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_an_error(engine, tmp_path):
    with pytest.raises(EngineError, match=r"gone\.parquet"):
        engine.parquet("gone", [tmp_path / "gone.parquet"])


def test_without_java_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(
        EngineMissing, match="the Spark engine needs Java 17 or newer, got no Java: install a JDK"
    ):
        spark_session.require_java()


def test_an_old_java_is_told(monkeypatch, tmp_path):
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
def test_spark_starts_quietly_and_again_after_it_was_closed(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
