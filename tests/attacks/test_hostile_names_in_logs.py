"""Two hundred hostile names in logs: columns, values and folders of these names are data."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.dataset_world import Shop, parquet_rows
from worlds.hostile_names import SQL

from tasks.dataset.parts import read
from tasks.interactions.ledger import Ledger

SPARK, TORTURE = pytest.mark.spark, pytest.mark.torture
ENGINES = ["duckdb", pytest.param("spark", marks=[SPARK, TORTURE])]
COLUMNS_PER_LOG = {"duckdb": 60, "spark": 6}  # with more, an engine plans longer
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def columns_of(names: list[str], suffix: str) -> list[str]:
    """Return the names that a column of this file format can have."""
    kept = [name for name in names if name.strip()]
    if suffix == "csv":
        kept = list(dict.fromkeys(name.strip() for name in kept if not {"\n", "\r", "\0"} & {*name}))
    return kept


def hostile_log(names: list[str], suffix: str, path: Path) -> dict[str, str]:
    """Write a log of two rows whose columns have these names; return column -> first value."""
    columns = {name: f"v{number}" for number, name in enumerate(names)}
    fixed = {"user col": ["u", "u"], "item col": ["i", "j"], "time col": ["2026-03-10 12:00:00", "never"]}
    table = {**fixed, **{name: [value, value] for name, value in columns.items()}}
    if suffix == "parquet":
        pq.write_table(pa.table(table), path)
    elif suffix == "jsonl":
        rows = [{name: values[row] for name, values in table.items()} for row in (0, 1)]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        quoted = [[f'"{name.replace(chr(34), chr(34) * 2)}"' for name in table]]
        quoted += [[values[row] for values in table.values()] for row in (0, 1)]
        path.write_text("\n".join(map(",".join, quoted)), encoding="utf-8")
    return columns


@pytest.mark.parametrize(
    ("engine", "suffix", "only"),
    [
        ("duckdb", "parquet", SQL),
        pytest.param("duckdb", "parquet", None, marks=TORTURE),
        pytest.param("duckdb", "csv", None, marks=TORTURE),
        pytest.param("duckdb", "jsonl", None, marks=TORTURE),
        pytest.param("spark", "parquet", SQL[20:26], marks=[SPARK, TORTURE]),
        pytest.param("spark", "jsonl", SQL, marks=[SPARK, TORTURE]),
    ],
)
def test_columns_of_these_names_keep_their_values(  # noqa: PLR0917
    engine: str, suffix: str, only: Any, names: list[str], engine_of: Any, tmp_path: Path
) -> None:
    opened, kept = engine_of(engine), columns_of([*(only or names)], suffix)
    short, long = ([name for name in kept if (len(name) > 300) == is_long] for is_long in (False, True))
    width = COLUMNS_PER_LOG[engine]
    chunks = [short[start : start + width] for start in range(0, len(short), width)]
    for number, chunk in enumerate([*chunks, long] if long else chunks):
        require_read(Shop(tmp_path / f"shop{number}", opened), chunk, suffix)


def require_read(shop: Shop, names: list[str], suffix: str) -> None:
    """Ingest a log whose columns have these names: one row is kept, one quarantined."""
    columns = hostile_log(names, suffix, shop.folder / "logs" / f"a.{suffix}")
    attributes = {f"a{number:03d}": name for number, name in enumerate(columns)}
    source = {
        "columns": {"user": "user col", "item": "item col", "timestamp": "time col"},
        "attributes": attributes,
        "null_values": ["", *names[:10]],
    }
    ingested = shop.ingest(source=source)
    assert (ingested.counts.accepted, ingested.counts.rules) == (1, {"timestamp_unreadable": 1})
    (row,) = parquet_rows(Ledger.read(shop.store).parts(), *attributes)
    assert dict(zip(columns, row, strict=True)) == columns
    (raw,) = parquet_rows(sorted(shop.store.quarantine.rglob("*.parquet")), "raw")
    refused = json.loads(raw if isinstance(raw, str) else raw[0])
    assert {name: refused[name] for name in columns} == columns
    assert {path.suffix for path in shop.store.root.rglob("*") if path.is_file()} <= {".parquet", ".json"}


@pytest.mark.parametrize("engine", ENGINES)
def test_these_texts_can_be_ids_types_titles_and_segments(
    engine: str, names: list[str], engine_of: Callable[[str], Any], tmp_path: Path
) -> None:
    kept = [name for name in names if name.strip() and "\0" not in name]  # a NUL is quarantined
    shop = Shop(tmp_path / "shop", engine_of(engine))
    columns = {"user": kept, "item": kept[::-1], "type": kept, "colour": kept, "session": kept}
    table = pa.table({**columns, "time": [NOON] * len(kept)})
    pq.write_table(table, tmp_path / "shop" / "logs" / "a.parquet")
    catalogue = pa.table({"id": kept, "title": kept, "land": kept, "sold": ["yes"] * len(kept)})
    pq.write_table(catalogue, tmp_path / "shop" / "items.parquet")
    shop.sections = {
        "source": {
            "columns": {"user": "user", "item": "item", "timestamp": "time", "event_type": "type"},
            "attributes": {"colour": "colour"},
            "null_values": [""],
            "event_weights": {name: 1.0 + number for number, name in enumerate(kept)},
        },
        "items": {
            "path": str(tmp_path / "shop" / "items.parquet"), "id": "id", "title": "title",
            "null_values": [""], "attributes": {"land": "land"},
            "available": "sold", "separator": "; DROP TABLE x; --",
        },
        "users": {"attributes": {"shade": "colour"}},
        "popular": {"segments": ["land", "shade"], "fallback_segment": "shade"},
        "top_n": {"blocked_items": kept[:5]},
    }  # fmt: skip
    built = shop.build()
    assert built.summary.events == len(kept)
    assert sorted(built.rows("users", "user_id")) == sorted(kept)
    assert dict(built.rows("items", "item_id", "title")) == {name: name for name in kept}
    values = {value for name, value in built.popular("segment", "segment_value") if name == "shade"}
    assert values == {user for user, item in zip(kept, kept[::-1], strict=True) if item not in kept[:5]}
    assert len(read(built.folder, "entries")) == len(kept)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_of_any_name_is_used_as_named(
    engine: str, names: list[str], engine_of: Callable[[str], Any], tmp_path: Path
) -> None:
    """An engine reads back what it wrote below a folder, and nothing else."""
    opened, parent = engine_of(engine), tmp_path / "folders"
    possible = [name for name in names if fits(name)]  # the path of a store
    assert len(possible) > 120
    special = [name for name in possible if {*name} & {*"*?[]{}\\,%#"}]  # not ':', which Hadoop reserves
    chosen = possible if engine == "duckdb" else [name for name in special if ":" not in name][::8]
    for number, name in enumerate(chosen):
        folder = (
            parent / str(number) / name
        )  # DuckDB's globs fail next to a name that starts with a backslash
        opened.write(f"SELECT {number} AS n", folder)
        assert [path for path in folder.iterdir() if path.suffix == ".parquet"]
        opened.parquet("back", sorted(folder.glob("*.parquet")))
        assert opened.fetch("SELECT n FROM back").to_pydict() == {"n": [number]}, name
        assert [path.name for path in folder.parent.iterdir()] == [name]
    assert not [path for path in tmp_path.iterdir() if path.name != "folders"]


def fits(name: str) -> bool:
    """Return whether a file system accepts the name for a single file."""
    return name not in {"", ".", ".."} and not {"/", "\0"} & {*name} and len(name.encode()) < 200
