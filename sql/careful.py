"""The reader that can read anything: CSV, JSON lines and Parquet, row by row, with the line of every row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sql.landing import Landed, Landing, RawFile, SourceError, file_format, open_bytes
from sql.layout import Reading
from sql.text_rows import BadLine, Lines, Row, as_text, csv_rows, json_rows, split_line

BATCH = 1 << 16  # rows
OTHER = "other"
REJECTS = pa.schema(
    [
        pa.field("file_id", pa.int32()),
        pa.field("line", pa.int64()),
        pa.field("rule", pa.string()),
        pa.field("raw", pa.string()),
    ]
)


@dataclass
class CarefulFile:
    """What became of one file: its columns, where its rows and rejects lie, and how many there are."""

    file_id: int
    columns: tuple[str, ...]
    rows: int = 0
    paths: list[Path] = field(default_factory=list)
    rejects: list[Path] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def land_carefully(file: RawFile, reading: Reading, mapped: Sequence[str], folder: Path) -> CarefulFile:
    """Write one file's rows of text as Parquet under `folder`, and the rows that have no columns beside them.

    Raises
    ------
    SourceError
        If the file's header lacks a mapped column or names one twice, or the file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = file_format(file.name, reading)
    if kind == "parquet":
        return _land_parquet(file, mapped, folder)
    with open_bytes(file.path) as stream:
        if kind == "csv":
            lines = Lines(stream, reading.encoding)
            columns = csv_columns(file, reading, lines)
            check_columns(file.name, columns, mapped)
            return _land_rows(file, columns, csv_rows(lines, len(columns), reading.delimiter), folder)
        columns = (*mapped, OTHER)
        landed = _land_rows(file, columns, json_rows(Lines(stream, reading.encoding), mapped), folder)
    _check_keys(file.name, landed, mapped)
    return landed


def positional(columns: Sequence[str]) -> list[str]:
    """Return c0, c1...: names of text columns that no engine reads in its own way."""
    return [f"c{place}" for place in range(len(columns))]


def check_columns(name: str, columns: Sequence[str], mapped: Sequence[str]) -> None:
    """Raise SourceError if a mapped column is missing or a column is named twice."""
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise SourceError(
            f"{name}: column {twice[0]!r} is there {Counter(columns)[twice[0]]} times; expected once"
        )
    for column in mapped:
        if column not in columns:
            raise SourceError(f"{name}: expected column {column!r}; known: {', '.join(columns)}")


def csv_columns(file: RawFile, reading: Reading, lines: Lines) -> tuple[str, ...]:
    """Return the column names: the header's, or the configured ones."""
    if not reading.header:
        return reading.column_names
    try:
        first = next(lines)
    except (StopIteration, BadLine):
        raise SourceError(f"{file.name}: expected a header line") from None
    lines.taken.clear()
    return tuple(name.strip() for name in split_line(first, reading.delimiter))


def _land_rows(file: RawFile, columns: tuple[str, ...], rows: Iterator[Row], folder: Path) -> CarefulFile:
    landed = CarefulFile(file.file_id, columns)
    good: list[Row] = []
    bad: list[Row] = []
    for row in rows:
        (bad if row.rule else good).append(row)
        if len(good) >= BATCH or len(bad) >= BATCH:
            _flush(landed, good, bad, folder)
    _flush(landed, good, bad, folder)
    return landed


def _flush(landed: CarefulFile, good: list[Row], bad: list[Row], folder: Path) -> None:
    if good:
        table = _rows_table(
            landed, [row.line for row in good], list(zip(*(row.values for row in good), strict=True))
        )
        landed.paths.append(
            _write(table, folder / f"rows-{landed.file_id:08d}-{len(landed.paths):04d}.parquet")
        )
        landed.rows += len(good)
    if bad:
        fields: list[list[Any]] = [
            [landed.file_id] * len(bad),
            [r.line for r in bad],
            [r.rule for r in bad],
            [r.raw for r in bad],
        ]
        table = pa.table(fields, schema=REJECTS)
        landed.rejects.append(
            _write(table, folder / f"rejects-{landed.file_id:08d}-{len(landed.rejects):04d}.parquet")
        )
        landed.rejected.update(row.rule for row in bad if row.rule)
    good.clear()
    bad.clear()


def _rows_table(landed: CarefulFile, lines: Sequence[int | None], columns: Sequence[Any]) -> pa.Table:
    arrays = [pa.array([landed.file_id] * len(lines), pa.int32()), pa.array(lines, pa.int64())]
    arrays += [
        column if isinstance(column, pa.Array) else pa.array(column, pa.string()) for column in columns
    ]
    return pa.table(arrays, names=["file_id", "line", *positional(landed.columns)])


def _write(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path, compression="snappy")
    return path


def _check_keys(name: str, landed: CarefulFile, mapped: Sequence[str]) -> None:
    """Raise SourceError if a mapped key is in no row at all: a wrong name, not a missing value."""
    if not landed.paths:
        return
    for place, column in enumerate(mapped):
        seen = sum(
            pq.read_table(path, columns=[f"c{place}"])[0].drop_null().length() for path in landed.paths
        )
        if seen == 0:
            raise SourceError(f"{name}: expected key {column!r}, which no row has")


def _land_parquet(file: RawFile, mapped: Sequence[str], folder: Path) -> CarefulFile:
    try:
        source = pq.ParquetFile(file.path)
        columns = tuple(source.schema_arrow.names)
        check_columns(file.name, columns, mapped)
        landed = CarefulFile(file.file_id, columns)
        for batch in source.iter_batches(batch_size=BATCH * 4):
            numbers = range(landed.rows + 1, landed.rows + batch.num_rows + 1)
            table = _rows_table(landed, list(numbers), [_text_array(column) for column in batch.columns])
            landed.paths.append(
                _write(table, folder / f"rows-{file.file_id:08d}-{len(landed.paths):04d}.parquet")
            )
            landed.rows += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{file.name}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    return landed


def _text_array(column: pa.Array) -> pa.Array:
    """Return a column as text; what is nested becomes JSON."""
    if pa.types.is_nested(column.type):
        return pa.array([as_text(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def collect(
    read: Sequence[CarefulFile],
    relations: list[Landed],
    rows: dict[int, int],
    make_view: Callable[[str, Sequence[Path]], object],
) -> Landing:
    """Return the landing of carefully read files, one relation for each set of columns, beside `relations`."""
    same: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for file in read:
        same[file.columns] += file.paths
    for place, (columns, paths) in enumerate(same.items()):
        if paths:
            make_view(f"landed_careful_{place}", paths)
            relations.append(Landed(f"landed_careful_{place}", columns))
    rejects = tuple(path for file in read for path in file.rejects)
    rejected = {file.file_id: dict(file.rejected) for file in read if file.rejected}
    return Landing(tuple(relations), rows, rejects, rejected)
