"""One raw file (CSV, JSON lines or Parquet) to Parquet files of text rows with line numbers."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sql.landing.csv_blocks import CsvForm, csv_blocks
from sql.landing.json_rows import array_batches, is_array
from sql.landing.landing import (
    LandedRows,
    Landing,
    RawFile,
    SourceError,
    file_format,
    line_encoding,
    open_text,
    positional,
)
from sql.landing.parquet_rows import open_parquet, parquet_blocks
from sql.landing.text_rows import EXCERPT, LONGEST_LINE, Reject, decode_line, json_batches, printable
from sql.source import Reading

OTHER = "other"
ROW_GROUP = 1 << 18  # rows
MOST_COLUMNS = 1000
MOST_REJECTS = 100_000  # rejected lines that end the landing, if they outnumber the rows
ARROW_ERRORS = (pa.ArrowException, OSError, RuntimeError, ValueError, OverflowError, LookupError)
"""What Arrow raises for a damaged file: not only its own errors."""
REJECTS = pa.schema(
    [
        pa.field("file_id", pa.int32()),
        pa.field("line", pa.int64()),
        pa.field("rule", pa.string()),
        pa.field("raw", pa.string()),
    ]
)


@dataclass
class LandedFile:
    """One landed file: its columns, and the paths and counts of its rows and rejects.

    `absent` are the optional columns that it lacks.
    """

    file_id: int
    columns: tuple[str, ...]
    rows: int = 0
    path: Path | None = None
    rejects: Path | None = None
    rejected: Counter[str] = field(default_factory=Counter)
    absent: tuple[str, ...] = ()


class _Writer:
    """Writes the rows and rejects of one file; a Parquet file is only created for content."""

    def __init__(self, file: RawFile, columns: tuple[str, ...], folder: Path) -> None:
        self.landed = LandedFile(file.file_id, columns)
        self._name = file.name
        self._folder = folder
        self._rows: Any = None
        self._rejects: Any = None

    def rows(self, lines: Any, columns: Sequence[Any]) -> None:
        """Write rows: their line numbers (int64) and one Arrow text array per column."""
        if not len(lines):
            return
        numbers = pa.array(np.full(len(lines), self.landed.file_id, np.int32))
        names = ["file_id", "line", *positional(self.landed.columns)]
        table = pa.table([numbers, pa.array(lines, pa.int64()), *columns], names=names)
        if self._rows is None:
            self.landed.path = self._folder / f"rows-{self.landed.file_id:08d}.parquet"
            self._rows = pq.ParquetWriter(
                self.landed.path, table.schema, compression="snappy", write_statistics=False
            )
        self._rows.write_table(table, row_group_size=ROW_GROUP)
        self.landed.rows += len(lines)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Write rejected lines; SourceError once there are too many for the configured format."""
        if not rejects:
            return
        if self._rejects is None:
            self.landed.rejects = self._folder / f"rejects-{self.landed.file_id:08d}.parquet"
            self._rejects = pq.ParquetWriter(self.landed.rejects, REJECTS, compression="snappy")
        texts = [[reject.rule for reject in rejects], [reject.raw for reject in rejects]]
        numbers = [[self.landed.file_id] * len(rejects), [reject.line for reject in rejects]]
        self._rejects.write_table(pa.table([*numbers, *texts], schema=REJECTS))
        self.landed.rejected.update(texts[0])
        lines, rows = sum(self.landed.rejected.values()), self.landed.rows
        if lines > max(MOST_REJECTS, rows):
            rule = self.landed.rejected.most_common(1)[0][0]
            raise SourceError(
                f"{self._name}: {lines:,} of the first {lines + rows:,} lines are not rows, most by rule "
                f"{rule}: is the file a log in the configured format?"
            )

    def close(self) -> LandedFile:
        """Close the files and return their summary."""
        for writer in (self._rows, self._rejects):
            if writer is not None:
                writer.close()
        return self.landed


def land_file(
    file: RawFile, reading: Reading, mapped: Sequence[str], folder: Path, optional: Collection[str] = ()
) -> LandedFile:
    """Write one file's text rows as Parquet in `folder`, and its rejected lines beside them.

    Of the `mapped` columns, it may lack the `optional` ones.

    Raises
    ------
    SourceError
        If the file is empty, cannot be read to its end or expands out of proportion to its size.
        Also if its header lacks another mapped column or repeats a column, or most of its first
        lines are not rows.
    """
    land = {"csv": _land_csv, "jsonl": _land_json, "parquet": _land_parquet}[file_format(file.name, reading)]
    try:
        if file.path.stat().st_size == 0:
            raise SourceError(f"{file.name}: the file is empty (0 bytes); expected rows")
        return land(file, reading, mapped, folder, optional)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(
            f"{file.name}: the .gz is truncated or corrupt ({error}); deliver it again"
        ) from None
    except (UnicodeError, pa.ArrowInvalid) as error:
        raise SourceError(f"{file.name}: cannot be read as {reading.encoding} text: {error}") from None
    except OSError as error:
        raise SourceError(f"{file.name}: cannot be read: {error.strerror or error}") from None


def _absent(
    name: str, columns: Sequence[str], mapped: Sequence[str], optional: Collection[str]
) -> tuple[str, ...]:
    """Return the optional columns that a file lacks.

    SourceError if another mapped column is missing, or a column is named twice.
    """
    count = Counter(columns)
    twice = [column for column in count if count[column] > 1]
    if twice:
        raise SourceError(f"{name}: expected column {twice[0][:80]!r} once, got it {count[twice[0]]} times")
    if len(columns) > MOST_COLUMNS:
        raise SourceError(f"{name}: expected at most {MOST_COLUMNS:,} columns, got {len(columns):,}")
    absent = tuple(column for column in mapped if column not in count)
    for column in absent:
        if column not in optional:
            known = printable(", ".join(columns)[:EXCERPT])
            raise SourceError(f"{name}: expected column {column!r}; known: {known}")
    return absent


def _land_csv(
    file: RawFile, reading: Reading, mapped: Sequence[str], folder: Path, optional: Collection[str]
) -> LandedFile:
    encoding = line_encoding(reading.encoding)
    with open_text(file, reading) as stream:
        columns, first_line = reading.column_names, 1
        if reading.header:
            if not stream.peek(1):  # type: ignore[attr-defined]
                return LandedFile(file.file_id, tuple(mapped))  # nothing, compressed
            columns, first_line = _header(file, stream, reading.delimiter, encoding)
        absent = _absent(file.name, columns, mapped, optional)
        writer = _Writer(file, columns, folder)
        writer.landed.absent = absent
        try:
            for block in csv_blocks(stream, first_line, CsvForm(len(columns), reading.delimiter, encoding)):
                writer.rows(block.lines, block.columns)
                writer.reject(block.rejects)
        finally:
            writer.close()
    return writer.landed


def _header(file: RawFile, stream: IO[bytes], delimiter: str, encoding: str) -> tuple[tuple[str, ...], int]:
    """Return the column names in the first non-blank line, and the number of the next line."""
    number = before = 0
    while (line := stream.readline(LONGEST_LINE + 2)) and before <= LONGEST_LINE:
        number, before = number + 1, before + len(line)
        text = decode_line(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, encoding)
        if isinstance(text, tuple):
            raise SourceError(f"{file.name}: expected a header line, got {text[0]} in line {number}")
        if text.strip():
            break
    else:
        raise SourceError(f"{file.name}: expected a header line, got blank lines")
    if len(delimiter) > 1:
        return tuple(name.strip() for name in text.split(delimiter)), number + 1
    try:
        return tuple(
            name.strip() for name in next(csv.reader([text], delimiter=delimiter, strict=True))
        ), number + 1
    except csv.Error as error:
        lone = "\r" in text and "its lines end in CR alone; expected LF or CRLF"
        raise SourceError(
            f"{file.name}: expected a header line, got {text[:80]!r}: {lone or error}"
        ) from None


def _land_json(
    file: RawFile, reading: Reading, mapped: Sequence[str], folder: Path, optional: Collection[str]
) -> LandedFile:
    writer = _Writer(file, (*mapped, OTHER), folder)
    seen = [False] * len(mapped)
    whole = is_array(file, reading)
    with open_text(file, reading) as stream:
        encoding = line_encoding(reading.encoding)
        batches = (
            array_batches(file, stream, reading, mapped) if whole else json_batches(stream, encoding, mapped)
        )
        try:
            for lines, rows, rejects in batches:
                columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
                seen = (
                    [old or c.null_count < len(c) for old, c in zip(seen, columns[:-1], strict=True)]
                    if rows
                    else seen
                )
                writer.rows(lines, columns)
                writer.reject(rejects)
        finally:
            writer.close()
    if writer.landed.rows:
        writer.landed.absent = tuple(key for key, there in zip(mapped, seen, strict=True) if not there)
        for key in writer.landed.absent:
            if key not in optional:  # a misspelt key, not a missing value
                raise SourceError(f"{file.name}: expected key {key!r}, which no row has")
    return writer.landed


def _land_parquet(
    file: RawFile, reading: Reading, mapped: Sequence[str], folder: Path, optional: Collection[str]
) -> LandedFile:
    limit = reading.max_expansion
    try:
        source, rows = open_parquet(file, limit)
        columns = tuple(source.schema_arrow.names)
        absent = _absent(file.name, columns, mapped, optional)
        writer = _Writer(file, columns, folder)
        writer.landed.absent = absent
        try:
            for block in parquet_blocks(file, source, rows, limit):
                writer.rows(block.lines, block.columns)
                writer.reject(block.rejects)
        finally:
            writer.close()
    except SourceError:
        raise
    except ARROW_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{file.name}: not a readable Parquet file: {reason}") from None
    return writer.landed


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
