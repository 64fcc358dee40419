"""Delta tables as sources: the latest version is read, or none of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from worlds.log_world import Logs
from worlds.table_world import found, reasons, rows, users

from tasks.runtime.errors import InputError

FIELDS = [{"name": "user", "type": "string", "nullable": True, "metadata": {}}]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write a Delta table of three versions, at a path that no URL should hold as it is."""
    plain = tmp_path / "plain"
    for batch in (rows("a", "z"), rows("b"), rows("c")):
        write_deltalake(plain, batch, mode="append", partition_by=["country"])
    folder = tmp_path / "lake [1]" / "50%25 ü#?"
    folder.parent.mkdir()
    return plain.rename(folder)


def test_files_of_the_latest_version_are_read(tmp_path: Path) -> None:
    table = tmp_path / "t"
    for batch in (rows("a", "z"), rows("b"), rows("c")):
        write_deltalake(table, batch, mode="append", partition_by=["country"])
    assert (users(found(table)), reasons(found(table))) == (["a", "b", "c", "z"], {})
    DeltaTable(table).optimize.compact()
    DeltaTable(table).delete("user = 'z'")
    for path in (table, f"{tmp_path}/*", f"{table}/**"):
        assert users(found(path)) == ["a", "b", "c"], path
        assert reasons(found(path)) == {"no longer part of the Delta table": 4}, path
    DeltaTable(table).create_checkpoint()
    for version in range(4):
        (table / "_delta_log" / f"{version:020d}.json").unlink()
    assert users(found(table)) == ["a", "b", "c"]
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert (users(found(table)), reasons(found(table))) == (["a", "b", "c"], {})


def test_a_path_is_read_as_it_stands_and_its_folders_tell_their_columns(table: Path) -> None:
    discovered = found(table, attributes={"country": "country"})
    assert users(discovered) == ["a", "b", "c", "z"]
    assert {file.partitions["country"] for file in discovered.files} == {"FR", "D/É %"}


def test_a_folder_that_looks_hidden_is_read_if_the_log_names_it(tmp_path: Path) -> None:
    batch = rows("a").append_column("_day", pa.array(["2026-03-01"]))
    write_deltalake(tmp_path / "t", batch, partition_by=["_day"])
    assert users(found(tmp_path / "t")) == ["a"]


def test_a_table_behind_a_url_is_read_by_a_copy_of_its_log(table: Path) -> None:
    memory = fsspec.filesystem("memory")
    plain = table.rename(table.parents[1] / "t")
    DeltaTable(plain).optimize.compact()
    DeltaTable(plain).create_checkpoint()
    memory.put(str(plain), "/lake/", recursive=True)
    try:
        discovered = found("memory://lake/t")
        assert len(discovered.files) == 2
        assert reasons(discovered) == {"no longer part of the Delta table": 3}
        with pytest.raises(InputError, match="a part of the Delta table /lake/t, of which only some files"):
            found("memory://lake/t/country=*/*.parquet")
    finally:
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]


def written(
    folder: Path, features: list[str], add: dict[str, object], fields: object = FIELDS, **configuration: str
) -> Path:
    """Write the log of a table of one file with features that the library cannot write."""
    meta = {
        "id": "x",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": configuration,
        "createdTime": 1,
    }
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": features,
        "writerFeatures": features,
    }
    file = {"partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": True, **add}
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / f"{0:020d}.json").write_text(
        "\n".join(map(json.dumps, ({"protocol": protocol}, {"metaData": meta}, {"add": file})))
    )
    (folder / "a.parquet").write_text("x")
    return folder


IN_A_FILE = {
    "storageType": "u",
    "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^",
    "offset": 4,
    "sizeInBytes": 40,
    "cardinality": 6,
}
INLINE = {
    "storageType": "i",
    "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
    "sizeInBytes": 40,
    "cardinality": 6,
}


@pytest.mark.parametrize("vector", [IN_A_FILE, INLINE])
def test_rows_deleted_inside_files_are_refused(tmp_path: Path, vector: dict[str, object]) -> None:
    add = {"path": "a.parquet", "deletionVector": vector}
    table = written(tmp_path / "t", ["deletionVectors"], add)
    with pytest.raises(InputError, match=r"/t: it has rows deleted inside its files \(deletion vectors\)"):
        found(table)


def test_a_table_that_could_have_them_but_has_not_is_read(tmp_path: Path) -> None:
    table = written(tmp_path / "t", ["deletionVectors", "timestampNtz"], {"path": "a.parquet"})
    assert len(found(table).files) == 1


@pytest.mark.parametrize(
    ("features", "path", "configuration", "message"),
    [
        (["notYetKnown"], "a.parquet", {}, "its log cannot be read: .*notYetKnown"),
        ([], "gone.parquet", {}, "names a file that is not there .*gone.parquet"),
        ([], "s3://other/a.parquet", {}, "names a file that is not there .*shallow clone"),
    ],
)
def test_what_cannot_be_read_file_by_file_is_refused(
    tmp_path: Path, features: list[str], path: str, configuration: dict[str, str], message: str
) -> None:
    table = written(tmp_path / "t", features, {"path": path}, **configuration)
    with pytest.raises(InputError, match=message) as caught:
        found(table)
    assert "\n" not in str(caught.value)


def test_renamed_columns_are_refused(tmp_path: Path) -> None:
    mapped = {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"}
    fields = [FIELDS[0] | {"metadata": mapped}]
    mode = {"delta.columnMapping.mode": "name"}
    table = written(tmp_path / "t", ["columnMapping"], {"path": "a.parquet"}, fields, **mode)
    with pytest.raises(InputError, match=r"/t: its files have other names of columns .*\(column mapping\)"):
        found(table)


def test_folders_must_tell_the_columns_of_partitions(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"), partition_by=["country"])
    log = tmp_path / "t" / "_delta_log" / f"{0:020d}.json"
    log.write_text(log.read_text().replace("country=FR/", "x/"))
    with pytest.raises(InputError, match="its folders do not tell the values of country"):
        found(tmp_path / "t")


@pytest.mark.parametrize("content", ["", "{", "no log", None])
def test_a_damaged_log_is_one_message(tmp_path: Path, content: str | None) -> None:
    write_deltalake(tmp_path / "t", rows("a"))
    log = tmp_path / "t" / "_delta_log" / f"{0:020d}.json"
    log.unlink() if content is None else log.write_text(content)
    with pytest.raises(InputError, match=r"/t: its log cannot be read: .") as caught:
        found(tmp_path / "t")
    assert "\n" not in str(caught.value)


def test_rows_that_a_compaction_writes_again_are_duplicates(tmp_path: Path, duckdb_engine) -> None:
    logs = Logs(tmp_path, duckdb_engine)
    shutil.rmtree(logs.folder)
    write_deltalake(logs.folder, rows("a", "z"), partition_by=["country"])
    write_deltalake(logs.folder, rows("b"), mode="append")
    assert logs.ingest().counts.accepted == 3
    DeltaTable(logs.folder).optimize.compact()
    write_deltalake(logs.folder, rows("d"), mode="append")
    again = logs.ingest()
    assert (again.counts.accepted, again.counts.duplicates) == (1, 2)
    assert sorted(user for user, _, _ in logs.rows()) == ["a", "b", "d", "z"]
    assert [part.reason for part in again.left_out] == ["no longer part of the Delta table"]


def test_replaced_files_are_no_news(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"))
    write_deltalake(tmp_path / "t", rows("b"), mode="overwrite")
    (tmp_path / "t" / "notes.doc").write_text("x")
    assert {part.reason: part.is_news for part in found(tmp_path / "t").left_out} == {
        "no longer part of the Delta table": False,
        "of unknown format or compression": True,
    }


def test_an_emptied_table_is_an_empty_file(tmp_path: Path, duckdb_engine) -> None:
    logs = Logs(tmp_path, duckdb_engine)
    shutil.rmtree(logs.folder)
    write_deltalake(logs.folder, rows("a", "b"))
    assert logs.ingest().counts.accepted == 2
    DeltaTable(logs.folder).delete()
    assert reasons(found(logs.folder)) == {"empty": 1, "no longer part of the Delta table": 1}
    emptied = logs.ingest()
    assert (emptied.counts.read, emptied.total.accepted) == (0, 2)
    assert [str(part) for part in emptied.left_out if part.is_news] == [f"1 empty ({logs.folder})"]
    write_deltalake(logs.folder, rows("c"), mode="append")
    assert logs.ingest().counts.accepted == 1


def test_a_partition_without_a_date_quarantines_its_rows_and_no_other(tmp_path: Path, duckdb_engine) -> None:
    days = pa.array(["2026-03-01", None, "2026-03-02"])
    batch = rows("a", "b", "c").drop_columns(["time"]).append_column("day", days)
    source = {"columns": {"user": "user", "item": "item", "timestamp": "day"}, "file_date": "%Y-%m-%d"}
    logs = Logs(tmp_path, duckdb_engine, **source)
    shutil.rmtree(logs.folder)
    write_deltalake(logs.folder, batch, partition_by=["day"])
    assert sorted(file.day is None for file in found(logs.folder, **source).files) == [False, False, True]
    counts = logs.ingest().counts
    assert (counts.accepted, counts.quarantined) == (2, 1)
    assert [rule for _, rule in logs.quarantine()] == ["timestamp_missing"]
