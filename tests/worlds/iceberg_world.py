"""Iceberg tables for tests: written by its library, and changed as other programs write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastavro
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.table import Table

from worlds.table_world import rows


@contextmanager
def catalog_at(warehouse: Path) -> Iterator[InMemoryCatalog]:
    """Yield a catalogue in memory whose tables lie in a folder, as WAREHOUSE/shop/NAME."""
    catalog = InMemoryCatalog("tests", warehouse=str(warehouse))
    catalog.create_namespace("shop")
    try:
        yield catalog
    finally:
        catalog.close()


def written(catalog: InMemoryCatalog, name: str, *batches: Any, partition: str | None = None) -> Table:
    """Write a table, an append a batch."""
    table = catalog.create_table(f"shop.{name}", schema=(batches or (rows("a"),))[0].schema)
    if partition is not None:
        with table.update_spec() as spec:
            spec.add_identity(partition)
    for batch in batches:
        table.append(batch)
    return table


def folder_of(table: Table) -> Path:
    return Path(table.location())


def newest_metadata(folder: Path) -> Path:
    return max((folder / "metadata").glob("*.metadata.json"))


def change_metadata(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the newest metadata in place."""
    path = newest_metadata(folder)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_files(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the manifests say of each data file, in place."""
    for path in (folder / "metadata").glob("*-m*.avro"):
        rewrite(path, path, lambda entry: change(entry["data_file"]))


def add_deletes(folder: Path, content: int, path: str) -> None:
    """Let the current snapshot have a file of deletes: of positions (1) or of equal rows (2)."""
    manifest = next((folder / "metadata").glob("*-m0.avro"))
    deletes = manifest.with_name("deletes-m0.avro")

    def as_deletes(entry: dict[str, Any]) -> None:
        entry["data_file"] |= {"content": content, "file_path": path, "equality_ids": [1]}

    rewrite(manifest, deletes, as_deletes)
    (listed,) = (folder / "metadata").glob("snap-*.avro")
    with listed.open("rb") as stream:
        reader = fastavro.reader(stream)
        manifests, schema, metadata = list(reader), reader.writer_schema, reader.metadata
    manifests.append(manifests[0] | {"manifest_path": str(deletes), "content": 1})
    write(listed, schema, metadata, manifests)


def rewrite(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with source.open("rb") as stream:
        reader = fastavro.reader(stream)
        entries: list[Any] = list(reader)
        schema, metadata = reader.writer_schema, reader.metadata
    for entry in entries:
        change(entry)
    write(target, schema, metadata, entries)


def write(target: Path, schema: Any, metadata: Any, records: list[Any]) -> None:
    kept = {name: text for name, text in metadata.items() if not name.startswith("avro.")}
    with target.open("wb") as stream:
        fastavro.writer(stream, schema, records, metadata=kept)
