"""Ids survive from a log to every table of a release and its DuckDB file, bit by bit."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from worlds.command_calls import MAIN
from worlds.dataset_world import Shop
from worlds.paths import IMPORTABLE

from flows.night.run import run_night
from tasks.configuration.configuration import load
from tasks.release.releases import current
from tasks.store.layout import Store

DAY = date(2026, 3, 2)
COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}
NUMBERS = (2**63 - 1, -(2**63), 2**53, 2**53 + 1, 2**53 - 1, 0, -1, 7, 10**18, 17850)
TEXTS = (
    "007",
    "7",
    "7.0",
    str(2**53 + 1),
    str(2**63 - 1),
    "NaN",
    "null",
    "NULL",
    "None",
    "true",
    "-0",
    "1e3",
    "0x10",
    '"',
    "''",
    'a"b',
    "a,b",
    "a;b\t",
    "a\nb",
    "a\r\nb",
    "a\rb",
    "\n",
    "\\N",
    "\\",
    "%s",
    "{}",
    "$1",
    "a'; --",
    " a",
    "a ",
    "\ta",
    "a\u00a0",
    "caf\u00e9",
    "cafe\u0301",
    "\u00df",
    "\u0130",
    "ÅÄ",
    "日本",
    "\uff5e",
    "\U0001f600",
    "\U0001f468\u200d\U0001f469",
    "a\u200bb",
    "a\u202eb",
    "\ufeffa",
    "\u2028",
    "\x01",
    "\x1f",
    "\x7f",
    "x" * 5000,
)
ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
).filter(lambda text: text.strip(" "))
IDS = {"int64": st.integers(-(2**63), 2**63 - 1), "string": ANY_TEXT}
ALWAYS: dict[str, tuple[Any, ...]] = {"int64": NUMBERS, "string": TEXTS}
ONCE = {
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ],
    "phases": [Phase.explicit, Phase.generate],  # to shrink whole nights takes minutes
    "database": None,
}
TEXT = """
[engine]
memory = "1GiB"
threads = 1
[source]
path = "logs"
user_id_type = "{kind}"
item_id_type = "{kind}"
null_values = [""]
[source.columns]
user = "user"
item = "item"
timestamp = "time"
[top_n]
n = 3
similar = 2
[popular]
n = 1000
windows = [0]
fallback_window = 0
[train]
models = ["popularity"]
serve = "popularity"
[evaluation]
enabled = false
[quality]
enabled = false
[report]
enabled = false
"""


def ids_of(kind: str, drawn: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys([*ALWAYS[kind], *drawn]))


def write_log(folder: Path, ids: Sequence[Any], form: str) -> None:
    """Write a log in which every id is a user and an item, with Python's csv or json module."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        (user, ids[(index + step) % len(ids)], f"{DAY} 10:{step:02d}:00")
        for index, user in enumerate(ids)
        for step in range(2)
    ]
    with (folder / f"events.{form}").open("w", encoding="utf-8", newline="") as file:
        if form == "csv":
            csv.writer(file).writerows([tuple(COLUMNS.values()), *rows])
        else:
            for row in rows:
                file.write(json.dumps(dict(zip(COLUMNS.values(), row, strict=True))) + "\n")


def tables_of(store: Store, *columns: tuple[str, str]) -> dict[str, list[set[Any]]]:
    """Return the ids of each table and column of the current release, in Parquet and in DuckDB."""
    release = current(store)
    ids_by_column = {}
    with duckdb.connect(str(release.database), read_only=True) as database:
        for table, column in columns:
            parquet = set(pq.read_table(release.table(table))[column].to_pylist())
            stored = {row[0] for row in database.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()}
            ids_by_column[f"{table}.{column}"] = [parquet, stored]
    return ids_by_column


def require_all(store: Store, ids: Sequence[Any]) -> None:
    """Require that each column of ids holds exactly those of the log."""
    whole = (("recommendations", "user_id"), ("similar_items", "item_id"), ("popular_items", "item_id"))
    for name, both in tables_of(store, *whole).items():
        assert both == [set(ids)] * 2, name
    some = (("recommendations", "item_id"), ("similar_items", "similar_item_id"))
    for name, (parquet, stored) in tables_of(store, *some).items():
        assert parquet == stored, name
        assert parquet <= set(ids), name


def configured(folder: Path, kind: str) -> Path:
    path = folder / "nightshelf.toml"
    path.write_text(TEXT.format(kind=kind))
    return path


def survive_a_night(folder: Path, kind: str, drawn: Sequence[Any], form: str) -> None:
    ids = ids_of(kind, drawn)
    write_log(folder / "logs", ids, form)
    run_night(load(configured(folder, kind)), DAY)
    require_all(Store(folder / "nightshelf-store"), ids)


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("int64", 1),
        ("string", 2),
        pytest.param("int64", 60, marks=pytest.mark.torture),
        pytest.param("string", 60, marks=pytest.mark.torture),
    ],
)
def test_ids_survive_from_log_to_release(
    tmp_path_factory: pytest.TempPathFactory, kind: str, examples: int
) -> None:
    @settings(max_examples=examples, **ONCE)
    @given(st.lists(IDS[kind], min_size=40, max_size=200), st.sampled_from(["csv", "jsonl"]))
    def survive(drawn: list[Any], form: str) -> None:
        survive_a_night(tmp_path_factory.mktemp("ids"), kind, drawn, form)

    survive()


def survive_spark(folder: Path, engine: Any, kind: str, drawn: Sequence[Any], form: str) -> None:
    """Build the dataset and popular items, the work of an engine; lists derive from the dataset."""
    ids = ids_of(kind, drawn)
    ids_are = {"user_id_type": kind, "item_id_type": kind, "null_values": [""]}
    source = {"columns": COLUMNS, "attributes": {}, **ids_are}
    popular = {"n": 1000, "windows": [0], "fallback_window": 0}
    shop = Shop(folder, engine, source=source, popular=popular)
    write_log(folder / "logs", ids, form)
    built = shop.build(DAY)
    stored = pa.concat_tables(pq.read_table(path) for path in shop.store.interactions.rglob("*.parquet"))
    for column_ids in (
        built.rows("users", "user_id"),
        built.rows("items", "item_id"),
        set(built.popular("item_id")),
        set(stored["user_id"].to_pylist()),
    ):
        assert sorted(column_ids) == sorted(ids)


@pytest.mark.spark
@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("string", 1),
        pytest.param("int64", 10, marks=pytest.mark.torture),
        pytest.param("string", 10, marks=pytest.mark.torture),
    ],
)
def test_ids_survive_spark(
    tmp_path_factory: pytest.TempPathFactory, spark_engine: Any, kind: str, examples: int
) -> None:
    @settings(max_examples=examples, **ONCE)
    @given(st.lists(IDS[kind], min_size=20, max_size=100), st.sampled_from(["csv", "jsonl"]))
    def survive(drawn: list[Any], form: str) -> None:
        survive_spark(tmp_path_factory.mktemp("ids"), spark_engine, kind, drawn, form)

    survive()


@pytest.mark.torture
@pytest.mark.spark
@pytest.mark.usefixtures("spark_engine")  # skips without Java
@pytest.mark.parametrize("kind", ["int64", "string"])
def test_ids_survive_a_whole_night_on_spark(tmp_path: Path, kind: str) -> None:
    write_log(tmp_path / "logs", ALWAYS[kind], "csv")
    arguments = ["run", "--config", str(configured(tmp_path, kind)), "--as-of", str(DAY), "--no-prefect"]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    completed = subprocess.run(
        [*MAIN, *arguments, "--engine", "spark"], env=environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    require_all(Store(tmp_path / "nightshelf-store"), ALWAYS[kind])
