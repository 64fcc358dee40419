"""nightshelf.duckdb: a release's tables in a single file, with comments and views."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sql.engines.text import escape_glob, render
from tasks.release.tables import TABLES, IdTypes, Table
from tasks.runtime.errors import StoreError
from tasks.runtime.resources import Resources
from tasks.store.files import writing

DATABASE: Final = "nightshelf.duckdb"
STORAGE_VERSION: Final = "v1.4.0"  # read by DuckDB 1.4, 1.5 and 2.0; 1.x cannot read 2.0's default
_BATCH: Final = 100_000
_DUCKDB_TYPES: Final = {
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.string(): "VARCHAR",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
}
_ITEM_COMMENT: Final = "the items of the catalogue; title is null if unknown"


def build_database(
    folder: Path,
    items: Path,
    ids: IdTypes,
    info: Mapping[str, str],
    resources: Resources,
    *,
    tables: Collection[Table] = tuple(TABLES.values()),
) -> dict[str, str]:
    """Build nightshelf.duckdb from the Parquet files in `folder`; return a content hash per table.

    `items` is a Parquet file with item_id and title. `info` holds the values of the view
    release_info. `tables` are all, except for a release of an older version. StoreError if a table
    cannot be read, or differs in the database from its Parquet file.
    """
    path = folder / DATABASE
    for leftover in (path, Path(f"{path}.wal")):
        leftover.unlink(missing_ok=True)
    try:
        with connection(folder, resources) as con, writing(path):
            con.execute(f"ATTACH {_quoted(str(path))} AS release (STORAGE_VERSION '{STORAGE_VERSION}')")
            con.execute("USE release")
            _fill(con, folder, items, ids, info, tables=tables)
            hashes = {table.name: _verified(con, table, ids, folder) for table in tables}
            con.execute("USE memory")
            con.execute("DETACH release")
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise StoreError(f"cannot build {path} from the tables beside it: {error}") from error
    if Path(f"{path}.wal").exists():
        raise StoreError(f"{path} was not checkpointed: a .wal file was left beside it")
    return hashes


def connection(folder: Path, resources: Resources) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that keeps to its share of the memory and spills into `folder`."""
    config: dict[str, str | bool | int | float | list[str]] = {
        **resources.duckdb_settings,
        "temp_directory": str(folder / ".spill"),
        "preserve_insertion_order": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    return duckdb.connect(":memory:", config=config)


def parquet(path: Path) -> str:
    """Return SQL that reads a Parquet file or a folder of parts; wildcards in paths are literal.

    The column file_row_number numbers the rows of each file.
    """
    parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    listed = ", ".join(_quoted(escape_glob(part)) for part in parts)
    return f"read_parquet([{listed}], file_row_number = true)"


def views(info: Mapping[str, str]) -> str:
    """Return sql/release/views.sql with the values of `info` as literals."""
    return render("release/views", {key: _quoted(value) for key, value in info.items()})


def content_hash(batches: Iterable[Any], schema: Any) -> str:
    """Return a SHA-256 over a table's values in row order, the same for Parquet and DuckDB.

    Each column is hashed separately, so that the split into batches does not matter: its validity
    as bytes, its values with 0 for null, strings as lengths and UTF-8.
    """
    columns = [[hashlib.sha256() for _ in range(3)] for _ in schema]
    for batch in (batch for batch in batches if batch.num_rows):
        for hashers, field, values in zip(columns, schema, batch.columns, strict=True):
            for hasher, part in zip(hashers, _buffers(values.cast(field.type)), strict=False):
                hasher.update(part)
    whole = hashlib.sha256()
    for field, hashers in zip(schema, columns, strict=True):
        whole.update(f"{field.name}:{field.type}:".encode())
        for hasher in hashers:
            whole.update(hasher.digest())
    return whole.hexdigest()


def _buffers(values: Any) -> list[Any]:
    import numpy as np

    valid = values.is_valid().cast(pa.uint8()).to_numpy()
    if pa.types.is_string(values.type):
        filled = values.fill_null("")
        _, offsets, data = filled.buffers()
        ends = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1]
        text = memoryview(data)[ends[0] : ends[-1]] if data else b""
        return [valid, np.diff(ends), text]
    if pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    zero = pa.scalar(0).cast(values.type)
    return [valid, values.fill_null(zero).to_numpy(zero_copy_only=False)]


def _fill(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    items: Path,
    ids: IdTypes,
    info: Mapping[str, str],
    *,
    tables: Collection[Table],
) -> None:
    con.execute("BEGIN")  # a single commit, because each flushes the file to disk
    for table in tables:
        _load(con, table, ids, folder / f"{table.name}.parquet")
    _load_items(con, items, ids)
    con.execute(views(info))
    con.execute("COMMIT")
    con.execute("CHECKPOINT release")


def _load(con: duckdb.DuckDBPyConnection, table: Table, ids: IdTypes, path: Path) -> None:
    columns = ", ".join(
        f'"{field.name}" {_DUCKDB_TYPES[field.type]}{"" if field.nullable else " NOT NULL"}'
        for field in table.schema(ids)
    )
    con.execute(f"CREATE TABLE {table.name} ({columns})")
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    con.execute(f"INSERT INTO {table.name} SELECT {names} FROM {parquet(path)}")
    con.execute(f"COMMENT ON TABLE {table.name} IS {_quoted(f'one row per {table.row}')}")
    for column in table.columns:
        meaning = _quoted(f"{column.meaning} (unit: {column.unit})")
        con.execute(f'COMMENT ON COLUMN {table.name}."{column.name}" IS {meaning}')


def _load_items(con: duckdb.DuckDBPyConnection, items: Path, ids: IdTypes) -> None:
    con.execute(f"CREATE TABLE items (item_id {_DUCKDB_TYPES[ids.item]} NOT NULL, title VARCHAR)")
    con.execute(f"INSERT INTO items SELECT item_id, title FROM {parquet(items)} ORDER BY item_id")
    con.execute(f"COMMENT ON TABLE items IS {_quoted(_ITEM_COMMENT)}")


def _verified(con: duckdb.DuckDBPyConnection, table: Table, ids: IdTypes, folder: Path) -> str:
    schema = table.schema(ids)
    stored = con.sql(f"SELECT * FROM {table.name}").to_arrow_reader(_BATCH)
    in_database = content_hash(stored, schema)
    with pq.ParquetFile(folder / f"{table.name}.parquet", page_checksum_verification=True) as file:
        in_parquet = content_hash(file.iter_batches(_BATCH), schema)
    if in_database != in_parquet:
        raise StoreError(f"the table {table.name} in {folder / DATABASE} differs from its Parquet file")
    return in_database


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
