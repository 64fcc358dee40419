"""Writing a release table as Parquet; the same rows always give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.release.tables import IdTypes, table
from tasks.runtime.errors import UserError
from tasks.store.files import sync, writing

ROWS_PER_GROUP: Final = 100_000
"""Rows per row group: a user out of 20 M rows is read in 10 ms; 20,000 and 250,000 are slower."""


class TableWriter:
    """A context manager that writes `<folder>/<name>.parquet` from blocks of sorted rows.

    Row groups are cut at fixed row numbers, so the bytes do not depend on the size of the blocks.
    The file gets its name only when it is complete; if an error interrupts it, nothing is left
    behind.
    """

    def __init__(self, folder: Path, name: str, ids: IdTypes) -> None:
        self.schema: Any = table(name).schema(ids)
        self.path = folder / f"{name}.parquet"
        self.rows = 0
        self._name = name
        self._temporary = folder / f".{name}.parquet.tmp"
        self._pending: list[Any] = []
        self._pending_rows = 0
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._parquet = pq.ParquetWriter(
                self._temporary,
                self.schema,
                compression="zstd",
                use_dictionary=[field.name for field in self.schema if self._repeats(field)],
                write_page_checksum=True,
                version="2.6",
            )

    def write(self, columns: Mapping[str, Any] | Any) -> None:
        """Append rows: a pyarrow Table or an array per column, of types that cast without loss."""
        block = self._conformed(columns)
        self._pending.append(block)
        self._pending_rows += block.num_rows
        self.rows += block.num_rows
        if self._pending_rows >= ROWS_PER_GROUP:
            self._flush(self._pending_rows - self._pending_rows % ROWS_PER_GROUP)

    def _conformed(self, columns: Mapping[str, Any] | Any) -> Any:
        by_name = columns if isinstance(columns, pa.Table) else dict(columns)
        names = by_name.column_names if isinstance(by_name, pa.Table) else list(by_name)
        if set(names) != set(self.schema.names):
            raise UserError(
                f"expected columns {', '.join(self.schema.names)} in {self._name}, got {', '.join(names)}"
            )
        try:
            arrays = [_cast(by_name[field.name], field.type) for field in self.schema]
            block = pa.table(arrays, schema=self.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UserError(f"rows do not fit the table {self._name}: {error}") from error
        for field in self.schema:
            if not field.nullable and block.column(field.name).null_count:
                raise UserError(f"expected no null in {self._name}.{field.name}")
        return block

    def _flush(self, rows: int) -> None:
        pending = pa.concat_tables(self._pending).combine_chunks()
        with writing(self._temporary):
            for start in range(0, rows, ROWS_PER_GROUP):
                part = pending.slice(start, min(ROWS_PER_GROUP, rows - start))
                self._parquet.write_table(part, row_group_size=ROWS_PER_GROUP)
        rest = pending.slice(rows)
        self._pending, self._pending_rows = [rest], rest.num_rows

    def _repeats(self, field: Any) -> bool:
        return bool(field.type in (pa.string(), pa.int32()) or field.name in table(self._name).key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._pending_rows:
                self._flush(self._pending_rows)
            with writing(self._temporary):
                self._parquet.close()
                if kind is None:
                    sync(self._temporary)
                    self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _cast(values: Any, kind: Any) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind)
    return pa.array(values, type=kind)
