"""One raw file of any format to Parquet files of text rows with line numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sql.errors import SourceError
from sql.landing.columnar.arrow_file import open_arrow
from sql.landing.columnar.blocks import ArrowSource, arrow_blocks
from sql.landing.columnar.parquet_file import open_parquet
from sql.landing.columns import absent_columns
from sql.landing.csv_file import land_csv
from sql.landing.landing import (
    LandedRows,
    Landing,
    RawFile,
    Wanted,
    file_format,
    line_encoding,
    open_text,
)
from sql.landing.nested import Expansion
from sql.landing.objects.avro_file import open_avro
from sql.landing.objects.json_rows import array_batches, is_array
from sql.landing.objects.records import Batch, Records, record_batches
from sql.landing.row_writer import OTHER, LandedFile, RowWriter
from sql.landing.sheet_file import land_sheets
from sql.landing.text_rows import json_batches
from sql.reading import Reading
from sql.source import ELEMENT

TOP = re.compile(r"\.|\[\]")  # ends the name of the outermost object of a path
ARROW_ERRORS = (pa.ArrowException, OSError, RuntimeError, ValueError, OverflowError, LookupError)
"""What Arrow raises for a damaged file: not only its own errors."""


def land_file(file: RawFile, reading: Reading, wanted: Wanted, folder: Path) -> LandedFile:
    """Write one file's text rows as Parquet in `folder`, and its rejected lines beside them.

    Raises
    ------
    SourceError
        If the file is empty, cannot be read to its end or expands out of proportion to its size.
        Also if its header or schema lacks a wanted column that is not optional or repeats a column,
        or most of its first lines are not rows. Objects in JSON may each lack any key.
    """
    land = LANDERS[file_format(file.name, reading)]
    try:
        if file.path.stat().st_size == 0:
            raise SourceError(f"{file.name}: the file is empty (0 bytes); expected rows")
        return land(file, reading, wanted, folder)
    except (UnicodeError, pa.ArrowInvalid) as error:
        raise SourceError(f"{file.name}: cannot be read as {reading.encoding} text: {error}") from None
    except OSError as error:
        raise SourceError(f"{file.name}: cannot be read: {error.strerror or error}") from None


def _land_json(file: RawFile, reading: Reading, wanted: Wanted, folder: Path) -> LandedFile:
    whole = not file.begin and is_array(file, reading)
    with open_text(file, reading) as stream:
        encoding = line_encoding(reading.encoding)
        if file.begin:
            stream.seek(file.begin)
        batches = (
            array_batches(file, stream, reading, wanted)
            if whole
            else json_batches(stream, encoding, wanted, file.first_line)
        )
        return _land_objects(file, reading, wanted, folder, batches)


def _land_records(
    file: RawFile,
    reading: Reading,
    wanted: Wanted,
    folder: Path,
    *,
    open_records: Callable[[RawFile, int], Records],
) -> LandedFile:
    records = open_records(file, reading.max_expansion)
    nested = [path for path in wanted.columns if TOP.split(path, maxsplit=1)[0] in records.names]
    absent = absent_columns(file, tuple(dict.fromkeys([*records.names, *nested])), wanted)
    batches = record_batches(file, records.rows, wanted, reading.max_expansion)
    landed = _land_objects(file, reading, wanted, folder, batches)
    landed.absent = absent
    return landed


def _land_objects(
    file: RawFile, reading: Reading, wanted: Wanted, folder: Path, batches: Iterable[Batch]
) -> LandedFile:
    """Write batches of the rows of objects; a wanted key is absent if no row has a value for it."""
    mapped = wanted.columns
    element = () if wanted.list_of is None else (ELEMENT,)
    writer = RowWriter(file, (*mapped, *element, OTHER), reading, wanted, folder)
    seen = [False] * len(mapped)
    try:
        for lines, rows, rejects in batches:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            columns = _with_partitions(columns, mapped, file)
            seen = (
                [old or c.null_count < len(c) for old, c in zip(seen, columns, strict=False)]
                if rows
                else seen
            )
            writer.rows(lines, columns)
            writer.reject(rejects)
    finally:
        writer.close()
    if writer.landed.rows:
        writer.landed.absent = tuple(key for key, there in zip(mapped, seen, strict=True) if not there)
    return writer.landed


def _with_partitions(columns: Sequence[Any], names: Sequence[str], file: RawFile) -> list[Any]:
    """Return columns whose nulls are what the file's folders tell; the last column is OTHER."""
    told = file.partitions
    return [
        pc.fill_null(column, text) if index < len(names) and (text := told.get(names[index])) else column
        for index, column in enumerate(columns)
    ]


def _land_columnar(
    file: RawFile,
    reading: Reading,
    wanted: Wanted,
    folder: Path,
    *,
    name: str,
    open_file: Callable[[RawFile, int], ArrowSource],
) -> LandedFile:
    limit = reading.max_expansion
    try:
        source = open_file(file, limit)
        expansion = Expansion(file.name, source.schema, wanted)
        columns = expansion.names
        absent = absent_columns(file, columns, wanted)
        writer = RowWriter(file, columns, reading, wanted, folder)
        writer.landed.absent = absent
        try:
            for block in arrow_blocks(file, source, expansion, limit=limit, wanted=wanted):
                writer.rows(block.lines, block.columns)
                writer.reject(block.rejects)
        finally:
            writer.close()
    except SourceError:
        raise
    except ARROW_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{file.name}: not a readable {name} file: {reason}") from None
    return writer.landed


def _open_orc(file: RawFile, limit: int) -> Records:
    from sql.landing.objects.orc_file import open_orc  # a fifth of a second that no other file needs

    return open_orc(file, limit)


LANDERS: dict[str, Callable[[RawFile, Reading, Wanted, Path], LandedFile]] = {
    "csv": land_csv,
    "jsonl": _land_json,
    "parquet": partial(_land_columnar, name="Parquet", open_file=open_parquet),
    "arrow": partial(_land_columnar, name="Arrow IPC", open_file=open_arrow),
    "avro": partial(_land_records, open_records=open_avro),
    "orc": partial(_land_records, open_records=_open_orc),
    "sheets": land_sheets,
}
"""What lands a file, by its format."""


def collect(files: Sequence[LandedFile], make_view: Callable[[str, Sequence[Path]], object]) -> Landing:
    """Combine landed files: one relation per set of columns, and one of rejects."""
    paths_by_columns: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for file in files:
        if file.path is not None:
            paths_by_columns[file.columns].append(file.path)
    relations = []
    for number, (columns, paths) in enumerate(paths_by_columns.items()):
        make_view(f"landed_{number}", paths)
        relations.append(LandedRows(f"landed_{number}", columns))
    rejects = [file.rejects for file in files if file.rejects is not None]
    if rejects:
        make_view("rejects", rejects)
    return Landing(
        relations=tuple(relations),
        rows={file.file_id: file.rows for file in files},
        rejects="rejects" if rejects else None,
        rejected={file.file_id: dict(file.rejected) for file in files if file.rejected},
        absent={file.file_id: file.absent for file in files if file.absent},
    )
