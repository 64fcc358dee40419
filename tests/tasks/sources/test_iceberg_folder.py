"""An Iceberg table in its folder: found where it lies, by the newest metadata, or refused."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from worlds.iceberg_world import (
    catalog_at,
    change_files,
    change_metadata,
    folder_of,
    newest_metadata,
    written,
)
from worlds.table_world import found, reasons, rows, users

from tasks.runtime.errors import InputError, SourceUnreachableError

GONE = "no longer part of the Iceberg table"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[InMemoryCatalog]:
    with catalog_at(tmp_path / "warehouse") as catalog:
        yield catalog


@pytest.fixture
def table(catalog: InMemoryCatalog) -> Path:
    """Write a table of two appends in two partitions; return its folder."""
    return folder_of(written(catalog, "t", rows("a", "z"), rows("b"), partition="country"))


def test_a_table_that_was_moved_or_copied_is_read_where_it_lies(table: Path, tmp_path: Path) -> None:
    shutil.copytree(table, tmp_path / "lake [1]" / "50%25 ü#?")
    shutil.rmtree(table)
    assert users(found(tmp_path / "lake [1]" / "50%25 ü#?")) == ["a", "b", "z"]


def test_the_scheme_of_its_location_does_not_matter(table: Path) -> None:
    change_metadata(table, lambda content: content.update(location=f"file://{table}/"))
    assert users(found(table)) == ["a", "b", "z"]


def test_a_table_behind_a_url_is_read(table: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(table), "/lake/", recursive=True)
    try:
        discovered = found("memory://lake/t", attributes={"country": "country"})
        assert [file.partitions["country"] for file in discovered.files] == ["D/É %", "FR", "FR"]
        with pytest.raises(InputError, match="a part of the Iceberg table /lake/t, of which only some files"):
            found("memory://lake/t/data/*/*.parquet")
    finally:
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("elsewhere", ["/elsewhere", "{table}/../other", "s3://bucket/t"])
def test_files_outside_of_the_folder_are_refused(table: Path, elsewhere: str) -> None:
    folder = elsewhere.format(table=table)
    change_files(table, lambda file: file.update(file_path=f"{folder}/{Path(file['file_path']).name}"))
    with pytest.raises(InputError, match=rf"it names {folder}/\S+, which is not below its location"):
        found(table)


def test_a_store_that_does_not_answer_can_be_asked_again(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(table), "/lake/", recursive=True)

    def failing(*_: object, **__: object) -> None:
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(type(memory), "open", failing)
    try:
        with pytest.raises(SourceUnreachableError, match=r"its metadata cannot be read: reset by peer$"):
            found("memory://lake/t")
    finally:
        memory.store.clear()
        memory.pseudo_dirs[:] = [""]


def test_a_file_that_is_gone_is_one_message(table: Path) -> None:
    next(table.glob("data/*/*.parquet")).unlink()
    with pytest.raises(
        InputError, match=r"an Iceberg table names a file that is not there .*: it was removed$"
    ):
        found(table)


def test_the_newest_metadata_counts(table: Path) -> None:
    metadata, newest = table / "metadata", newest_metadata(table)
    assert newest.name.startswith("00003-")
    shutil.copy(newest, metadata / "00010-x.metadata.json")
    change_metadata(table, lambda content: content.pop("current-snapshot-id"))
    assert found(table).files == []
    for path in metadata.glob("0*.metadata.json"):
        path.unlink() if path != newest else path.rename(metadata / "v9.metadata.json")
    (metadata / "v10.metadata.json").write_text((metadata / "v9.metadata.json").read_text())
    (metadata / "v9.metadata.json").write_text("{")
    assert users(found(table)) == ["a", "b", "z"]


@pytest.mark.parametrize("name", ["00003-x.metadata.json", "v1.metadata.json"])
def test_metadata_that_may_be_current_and_may_not_is_refused(table: Path, name: str) -> None:
    shutil.copy(newest_metadata(table), table / "metadata" / name)
    with pytest.raises(InputError, match=rf"it is not clear which metadata is current: .*{name}"):
        found(table)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format-version": 9}', None])
def test_damaged_metadata_is_one_message(table: Path, content: str | None) -> None:
    if content is None:
        next((table / "metadata").glob("snap-*.avro")).write_bytes(b"x")
        for path in (table / "metadata").glob("*.avro"):
            path.write_bytes(b"x")
    else:
        newest_metadata(table).write_text(content)
    with pytest.raises(InputError, match=r"the Iceberg table .*/t: its metadata cannot be read: .") as caught:
        found(table)
    assert "\n" not in str(caught.value)


def test_metadata_without_a_number_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "t" / "metadata").mkdir(parents=True)
    (tmp_path / "t" / "metadata" / "last.metadata.json").write_text("{}")
    with pytest.raises(InputError, match=r"/t: expected metadata files such as v3\.metadata\.json or 00003-"):
        found(tmp_path / "t")


@pytest.mark.parametrize("version", ["1", "2"])
def test_other_versions_of_the_format_and_compressed_metadata_are_read(
    catalog: InMemoryCatalog, version: str
) -> None:
    schema = rows("a").schema
    table = catalog.create_table("shop.t", schema=schema, properties={"format-version": version})
    table.append(rows("a"))
    table.overwrite(rows("b"))
    folder = folder_of(table)
    newest = newest_metadata(folder)
    packed = newest.with_name(newest.name.replace(".metadata", ".gz.metadata"))
    packed.write_bytes(gzip.compress(newest.read_bytes()))
    newest.unlink()
    assert json.loads(gzip.decompress(packed.read_bytes()))["format-version"] == int(version)
    assert (users(found(folder)), reasons(found(folder))) == (["b"], {GONE: 1})
