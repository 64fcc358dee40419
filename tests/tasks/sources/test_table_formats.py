"""Tables whose log says which files count: of a Delta table the latest version is read, or none of it."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from worlds.log_world import Logs

from sql.source import Source
from tasks.runtime.errors import InputError
from tasks.sources.discovery import Discovered, discover

AS_OF = date(2026, 3, 10)
FIELDS = [{"name": "user", "type": "string", "nullable": True, "metadata": {}}]


def rows(*users: str, day: str = "2026-03-01") -> pa.Table:
    return pa.table(
        {
            "user": list(users),
            "item": [f"i{user}" for user in users],
            "time": [f"{day} 10:00:00"] * len(users),
            "country": ["FR" if user < "n" else "D/É %" for user in users],
        }
    )


def found(path: object, **keys: object) -> Discovered:
    columns = {"user": "user", "item": "item", "timestamp": "time"}
    return discover(
        Source.model_validate({"path": str(path), "columns": columns, "settle_seconds": 0, **keys}), AS_OF
    )


def users(discovered: Discovered) -> list[str]:
    import pyarrow.parquet as pq

    return sorted(
        user
        for file in discovered.files
        for user in pq.ParquetFile(file.address).read(["user"])["user"].to_pylist()
    )


def reasons(discovered: Discovered) -> dict[str, int]:
    return {part.reason: part.files for part in discovered.left_out}


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


def test_tables_and_plain_files_lie_side_by_side(tmp_path: Path) -> None:
    for name in "ab":
        write_deltalake(tmp_path / "lake" / name, rows(name))
        write_deltalake(tmp_path / "lake" / name, rows(name * 2), mode="overwrite")
    (tmp_path / "lake" / "c.csv").write_text("user,item,time\n")
    assert [Path(file.address).suffix for file in found(tmp_path / "lake").files] == [
        ".parquet",
        ".parquet",
        ".csv",
    ]
    assert reasons(found(tmp_path / "lake")) == {"no longer part of the Delta table": 2}


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


@pytest.mark.parametrize("below", ["country=FR", "*/*.parquet", "country=FR/{name}"])
def test_a_part_of_a_table_is_refused(tmp_path: Path, below: str) -> None:
    table = tmp_path / "t"
    write_deltalake(table, rows("a"), partition_by=["country"])
    (file,) = table.glob("country=FR/*.parquet")
    with pytest.raises(
        InputError, match=rf"a part of the Delta table {table}, .*expected the table's folder$"
    ):
        found(table / below.format(name=file.name))


@pytest.mark.parametrize("glob", ["*/*.parquet", "**/*.parquet", "[a-z]/*"])
def test_a_glob_that_passes_by_a_log_is_refused(tmp_path: Path, glob: str) -> None:
    table = tmp_path / "lake" / "t"
    write_deltalake(table, rows("a"))
    write_deltalake(table, rows("b"), mode="overwrite")
    if glob == "[a-z]/*":  # this one finds the log
        assert users(found(table.parent / glob)) == ["b"]
        return
    with pytest.raises(InputError, match=rf"a part of the Delta table {table}, of which only some files"):
        found(table.parent / glob)


@pytest.mark.parametrize(
    ("log", "kind"), [(".hoodie/hoodie.properties", "Hudi"), ("metadata/v1.metadata.json", "Iceberg")]
)
def test_other_tables_are_refused_beside_a_delta_table(tmp_path: Path, log: str, kind: str) -> None:
    write_deltalake(tmp_path / "lake" / "d", rows("a"))
    for name in (log, "data/part-0.parquet"):
        (tmp_path / "lake" / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lake" / "t" / name).write_text("x")
    with pytest.raises(InputError, match=rf"a {kind} table, of which only some files count"):
        found(tmp_path / "lake")


def test_a_delta_table_with_the_metadata_of_iceberg_is_read_by_its_own_log(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", rows("a"))
    (tmp_path / "t" / "metadata").mkdir()
    (tmp_path / "t" / "metadata" / "v1.metadata.json").write_text("{}")
    assert users(found(tmp_path / "t", format="parquet")) == ["a"]


@pytest.mark.parametrize(
    ("log", "kind"), [(".hoodie/hoodie.properties", "Hudi"), ("metadata/v1.metadata.json", "Iceberg")]
)
def test_other_tables_and_their_parts_are_refused(tmp_path: Path, log: str, kind: str) -> None:
    for name in (log, "data/part-0.parquet"):
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_text("x")
    with pytest.raises(
        InputError, match=rf"/t: a {kind} table, of which only some files count; expected a Delta"
    ):
        found(tmp_path / "t")
    with pytest.raises(
        InputError, match=rf"a part of the {kind} table {tmp_path}/t, .*; expected plain files$"
    ):
        found(tmp_path / "t" / "data")


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
