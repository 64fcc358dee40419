"""Iceberg tables as sources: the current snapshot is read, by the table's names, or none of it."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.types import StringType
from worlds.iceberg_world import (
    add_deletes,
    catalog_at,
    change_files,
    change_metadata,
    folder_of,
    written,
)
from worlds.log_world import Logs
from worlds.table_world import found, reasons, rows, users

from tasks.runtime.errors import InputError

GONE = "no longer part of the Iceberg table"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[InMemoryCatalog]:
    with catalog_at(tmp_path / "warehouse") as catalog:
        yield catalog


@pytest.fixture
def table(catalog: InMemoryCatalog) -> Path:
    """Write a table of two appends in two partitions; return its folder."""
    return folder_of(written(catalog, "t", rows("a", "z"), rows("b"), partition="country"))


def logs_of(table: Path, folder: Path, engine: Any, **source: Any) -> Logs:
    return Logs(folder, engine, path=str(table), **source)


def renamed(batch: pa.Table, **names: str) -> pa.Table:
    return batch.rename_columns([names.get(name, name) for name in batch.column_names])


def test_files_of_the_current_snapshot_are_read(catalog: InMemoryCatalog) -> None:
    table = written(catalog, "t", rows("a", "z"), rows("b"), partition="country")
    folder = folder_of(table)
    assert (users(found(folder)), reasons(found(folder))) == (["a", "b", "z"], {})
    table.overwrite(rows("c"))
    table.append(rows("d"))
    for path in (folder, f"{folder.parent}/*", f"{folder}/**"):
        assert users(found(path)) == ["c", "d"], path
        assert reasons(found(path)) == {GONE: 3}, path
    assert not any(part.is_news for part in found(folder).left_out)
    table.delete("user == 'c'")
    assert users(found(folder)) == ["d"]


def test_tables_of_both_kinds_and_plain_files_lie_side_by_side(catalog: InMemoryCatalog) -> None:
    from deltalake import write_deltalake

    lake = folder_of(written(catalog, "i", rows("a"))).parent
    write_deltalake(lake / "d", rows("b"))
    pq.write_table(rows("c"), lake / "c.parquet")
    assert users(found(lake)) == ["a", "b", "c"]


def test_a_folder_that_looks_hidden_is_read_if_the_metadata_names_it(catalog: InMemoryCatalog) -> None:
    batch = rows("a").append_column("_day", pa.array(["2026-03-01"]))
    assert users(found(folder_of(written(catalog, "t", batch, partition="_day")))) == ["a"]


def test_a_partition_tells_its_column_to_files_that_lack_it(
    table: Path, tmp_path: Path, duckdb_engine
) -> None:
    for path in table.glob("data/*/*.parquet"):  # as Hive's tables are migrated
        file = pq.read_table(path, partitioning=None)
        pq.write_table(file.drop_columns(["country"]), path)
    logs = logs_of(table, tmp_path, duckdb_engine, attributes={"country": "country"})
    assert logs.ingest().counts.accepted == 3
    assert sorted(logs.rows("user_id, country")) == [("a", "FR"), ("b", "FR"), ("z", "D/É %")]


def test_a_partition_without_a_date_is_read_undated(catalog: InMemoryCatalog) -> None:
    batch = rows("a", "b").append_column("day", pa.array(["2026-03-01", None]))
    table = folder_of(written(catalog, "t", batch, partition="day"))
    days = {None if file.day is None else str(file.day) for file in found(table, file_date="%Y-%m-%d").files}
    assert days == {"2026-03-01", None}


def test_columns_are_read_by_the_names_that_the_table_has_now(
    catalog: InMemoryCatalog, tmp_path: Path, engine
) -> None:
    table = written(catalog, "t", rows("a"))
    with table.update_schema() as schema:
        schema.rename_column("item", "sku")
        schema.rename_column("user", "item")  # a name that another column had
        schema.delete_column("country")
    with table.update_schema() as schema:
        schema.add_column("country", StringType())
    table.append(renamed(rows("b"), item="sku", user="item"))
    columns = {"user": "item", "item": "sku", "timestamp": "time"}
    logs = logs_of(folder_of(table), tmp_path, engine, columns=columns, attributes={"country": "country"})
    ingested = logs.ingest()
    assert ingested.counts.accepted == 2
    assert sorted(logs.rows("user_id, item_id, country")) == [("a", "ia", None), ("b", "ib", "FR")]
    assert ingested.facts()["columns_absent"] == {"country": 1}  # the former one is another column


def test_items_in_a_list_of_objects_are_events(catalog: InMemoryCatalog, tmp_path: Path, engine) -> None:
    orders = pa.table(
        {
            "user": ["a", "b"],
            "time": ["2026-03-01 10:00:00"] * 2,
            "lines": [[{"sku": "p1", "by": {"at": 1}}, {"sku": "p2", "by": {"at": 2}}], []],
            "tags": pa.array([[("k", {"v": 1})], []], pa.map_(pa.string(), pa.struct({"v": pa.int64()}))),
        }
    )
    table = folder_of(written(catalog, "t", orders))
    columns = {"user": "user", "item": "lines[].sku", "timestamp": "time"}
    logs = logs_of(table, tmp_path, engine, columns=columns)
    counts = logs.ingest().counts
    assert (counts.read, counts.accepted, counts.excluded) == (3, 2, 1)
    assert logs.rows("user_id, item_id") == [("a", "p1"), ("a", "p2")]


def test_rows_that_are_written_again_are_duplicates(
    catalog: InMemoryCatalog, tmp_path: Path, duckdb_engine
) -> None:
    table = written(catalog, "t", rows("a", "z"), rows("b"))
    logs = logs_of(folder_of(table), tmp_path, duckdb_engine)
    assert logs.ingest().counts.accepted == 3
    table.overwrite(rows("a", "b", "c"))
    again = logs.ingest()
    assert (again.counts.accepted, again.counts.duplicates) == (1, 2)
    assert sorted(user for user, _, _ in logs.rows()) == ["a", "b", "c", "z"]


def test_a_table_without_rows_is_an_empty_file(
    catalog: InMemoryCatalog, tmp_path: Path, duckdb_engine
) -> None:
    table = written(catalog, "t")
    folder = folder_of(table)
    assert (found(folder).files, reasons(found(folder))) == ([], {"empty": 1})
    logs = logs_of(folder, tmp_path, duckdb_engine)
    assert logs.ingest().counts.read == 0
    table.append(rows("a"))
    assert logs.ingest().counts.accepted == 1
    table.delete("user == 'a'")
    assert reasons(found(folder)) == {"empty": 1, GONE: 1}


@pytest.mark.parametrize("content", [1, 2])
def test_rows_deleted_by_delete_files_are_refused(catalog: InMemoryCatalog, content: int) -> None:
    table = folder_of(written(catalog, "t", rows("a")))
    add_deletes(table, content, f"{table}/data/deletes.parquet")
    with pytest.raises(InputError, match=r"the Iceberg table .*/t: it has rows deleted by delete files"):
        found(table)


def test_data_files_of_another_format_are_refused(table: Path) -> None:
    change_files(table, lambda file: file.update(file_format="ORC"))
    with pytest.raises(InputError, match=r"/t: it has data files in ORC; expected Parquet: set write.format"):
        found(table)


def test_columns_with_default_values_are_refused(table: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["schemas"][0]["fields"][0]["initial-default"] = "somebody"

    change_metadata(table, change)
    with pytest.raises(InputError, match=r"/t: it has columns with default values; expected one without"):
        found(table)


def test_columns_without_ids_need_a_name_mapping(
    catalog: InMemoryCatalog, tmp_path: Path, duckdb_engine
) -> None:
    table = written(catalog, "t", rows("a"))
    plain = tmp_path / "warehouse" / "shop" / "t" / "data" / "plain.parquet"
    pq.write_table(rows("b"), plain)
    table.add_files([str(plain)])  # the library sets the mapping
    with table.update_schema() as schema:
        schema.rename_column("item", "sku")
    columns = {"user": "user", "item": "sku", "timestamp": "time"}
    logs = logs_of(folder_of(table), tmp_path, duckdb_engine, columns=columns)
    assert logs.ingest().counts.accepted == 2
    with table.transaction() as transaction:
        transaction.remove_properties("schema.name-mapping.default")
    logs = logs_of(folder_of(table), tmp_path / "again", duckdb_engine, columns=columns)
    with pytest.raises(
        InputError, match=r"plain\.parquet: its columns have no field ids, and its table no name"
    ):
        logs.ingest()


@pytest.mark.parametrize(
    "value",
    [
        "a/b=c é",
        -7,
        True,
        dt.date(1969, 12, 31),
        decimal.Decimal("1234.50"),
        None,
    ],
    ids=repr,
)
def test_a_partition_tells_a_value_as_the_file_would(
    catalog: InMemoryCatalog, tmp_path: Path, duckdb_engine, value: object
) -> None:
    kind = pa.string() if value is None else None
    batch = rows("a").append_column("part", pa.array([value], kind))
    folder = folder_of(written(catalog, "t", batch, partition="part"))
    keys = {"attributes": {"part": "part"}}
    whole = logs_of(folder, tmp_path / "whole", duckdb_engine, **keys)
    assert whole.ingest().counts.accepted == 1
    (path,) = folder.glob("data/*/*.parquet")
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["part"]), path)
    told = logs_of(folder, tmp_path / "told", duckdb_engine, **keys)
    assert told.ingest().counts.accepted == 1
    assert told.rows("part") == whole.rows("part")


@pytest.mark.parametrize("value", [dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC), 0.1], ids=repr)
def test_a_partition_that_tells_another_text_is_not_used(
    catalog: InMemoryCatalog, tmp_path: Path, duckdb_engine, value: object
) -> None:
    batch = rows("a").append_column("part", pa.array([value]))
    folder = folder_of(written(catalog, "t", batch, partition="part"))
    logs = logs_of(folder, tmp_path, duckdb_engine, attributes={"part": "part"})
    assert logs.ingest().counts.accepted == 1  # the file has the column
    change_files(folder, lambda file: file.update(column_sizes=None))
    with pytest.raises(InputError, match=r"/t: its files may lack part, by which it is partitioned, and a "):
        logs.ingest()
