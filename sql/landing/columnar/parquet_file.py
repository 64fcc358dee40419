"""Parquet files, opened so that their encodings cost no memory, however well they compress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sql.landing.columnar.blocks import HELD, MOST_ROWS, ArrowSource
from sql.landing.columnar.field_ids import table_names
from sql.landing.columnar.parquet_footer import Chunk, chunks
from sql.landing.compression import require_proportion
from sql.landing.landing import RawFile

NESTED = 64  # bytes of a nested value while it becomes JSON


def open_parquet(file: RawFile, limit: int) -> ArrowSource:
    """Open a file with dictionaries kept: a value of 1 MiB in 600 rows is in memory once.

    The columns have their table's names, if the file is part of one that can rename them.

    SourceError if the footer describes more than `limit` times the file's size, or the table's names
    are not certain. Reading raises ValueError if the number of rows is not the footer's.
    """
    first = pq.ParquetFile(file.path)
    listed, size = chunks(file.path), file.path.stat().st_size
    require_proportion(file.name, sum(chunk.held for chunk in listed), size, limit)
    coded = {chunk.path[0] for chunk in listed if chunk.dictionary and len(chunk.path) == 1}
    repeated = [
        field.name
        for field in first.schema_arrow
        if (pa.types.is_string(field.type) or pa.types.is_binary(field.type)) and field.name in coded
    ]
    source = pq.ParquetFile(
        file.path,
        read_dictionary=repeated,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit="us",  # in nanoseconds, years after 2262 wrap around
    )
    schema, batches, instants = source.schema_arrow, _batches(source, _batch_size(listed)), _int96(source)
    if file.field_names is None:
        return ArrowSource(schema, batches, instants)
    names = table_names(file.name, schema, file.field_names)
    kept = [index for index, name in enumerate(names) if name is not None]
    present = {schema.names[index]: str(names[index]) for index in kept}
    schema = pa.schema([schema.field(index).with_name(names[index]) for index in kept])
    batches = (batch.select(kept).rename_columns(schema.names) for batch in batches)
    return ArrowSource(schema, batches, frozenset(present.get(name, name) for name in instants))


def _batches(source: pq.ParquetFile, rows: int) -> Iterator[Any]:
    read = 0
    for batch in source.iter_batches(batch_size=rows):
        read += batch.num_rows
        yield batch
    if read != source.metadata.num_rows:
        raise ValueError(f"expected the {source.metadata.num_rows:,} rows of its footer, got {read:,}")


def _int96(source: pq.ParquetFile) -> frozenset[str]:
    """Return the columns of INT96: instants in UTC (Spark, Impala), though nothing says so."""
    columns = (source.schema.column(index) for index in range(len(source.schema)))
    return frozenset(column.path for column in columns if column.physical_type == "INT96")


def _batch_size(listed: Sequence[Chunk]) -> int:
    """Return how many rows take about HELD bytes, by each column's widest chunk."""
    widest: dict[tuple[str, ...], float] = {}
    for chunk in listed:
        rows = max(chunk.rows, 1)
        weight = max(chunk.held / rows, chunk.width, 8)
        if len(chunk.path) > 1:
            weight += NESTED * chunk.values / rows
        widest[chunk.path] = max(weight, widest.get(chunk.path, 0))
    return int(min(max(HELD / max(sum(widest.values()), 1), 1), MOST_ROWS))
