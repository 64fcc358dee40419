"""A CSV file to rows: its delimiter, its header, its blocks."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import IO

from sql.errors import SourceError
from sql.landing.columns import absent_columns
from sql.landing.csv_blocks import CsvForm, csv_blocks
from sql.landing.landing import RawFile, Wanted, line_encoding, open_text
from sql.landing.row_writer import LandedFile, RowWriter
from sql.landing.text_rows import LONGEST_LINE, decode_line
from sql.reading import Reading

SEP = re.compile(rb'\A"?sep=(.)"?\r?\n', re.IGNORECASE)
BOM = b"\xef\xbb\xbf"


def land_csv(file: RawFile, reading: Reading, wanted: Wanted, folder: Path) -> LandedFile:
    """Write the rows of a CSV file; see `land_file`."""
    encoding, delimiter = line_encoding(reading.encoding), reading.delimiter_of(file.name)
    with open_text(file, reading) as stream:
        if not stream.peek(1):  # type: ignore[attr-defined]
            return LandedFile(file.file_id, wanted.columns)  # nothing, compressed
        first_line, delimiter = _preamble(stream, reading, delimiter)
        columns = reading.column_names
        if reading.header:
            header = _header(file, stream, delimiter, encoding, first_line)
            if header is None:
                return LandedFile(file.file_id, wanted.columns)  # blank lines alone
            columns, first_line = header
        if file.begin:
            stream.seek(file.begin)
            first_line = file.first_line
        absent = absent_columns(file, columns, wanted)
        writer = RowWriter(file, columns, reading, wanted, folder)
        writer.landed.absent = absent
        form = CsvForm(
            len(columns),
            delimiter,
            encoding,
            quoted=reading.quoting == "standard",
            escape=reading.escape or "",
            last_counts=columns[-1] in wanted.scalars,
            times=tuple(columns.index(name) for name in wanted.times if name in columns),
        )
        try:
            for block in csv_blocks(stream, first_line, form):
                writer.rows(block.lines, block.columns)
                writer.reject(block.rejects)
        finally:
            writer.close()
    return writer.landed


def _preamble(stream: IO[bytes], reading: Reading, delimiter: str) -> tuple[int, str]:
    """Skip the configured lines and Excel's `sep=;`; return the next line's number and the delimiter."""
    for _ in range(reading.skip_lines):
        while (line := stream.readline(LONGEST_LINE)) and not line.endswith(b"\n"):
            pass
    ahead = stream.peek(16)[:16]  # type: ignore[attr-defined]
    match = SEP.match(ahead.removeprefix(BOM))
    if match is None:
        return reading.skip_lines + 1, delimiter
    stream.readline()
    return reading.skip_lines + 2, reading.delimiter or match.group(1).decode("latin-1")


def _header(
    file: RawFile, stream: IO[bytes], delimiter: str, encoding: str, number: int
) -> tuple[tuple[str, ...], int] | None:
    """Return the names in the first line that is not blank, from line `number` on, and the next line.

    None if there is no such line.
    """
    number, first, before = number - 1, number, 0
    while (line := stream.readline(LONGEST_LINE + 2)) and before <= LONGEST_LINE:
        number, before = number + 1, before + len(line)
        text = decode_line(line.removeprefix(BOM) if number == first else line, encoding)
        if isinstance(text, tuple):
            raise SourceError(f"{file.name}: expected a header line, got {text[0]} in line {number}")
        if text.strip():
            break
    else:
        if not line:
            return None
        raise SourceError(f"{file.name}: expected a header line, got {LONGEST_LINE >> 20} MiB of blank lines")
    if len(delimiter) > 1:
        return named(text.split(delimiter)), number + 1
    try:
        return named(next(csv.reader([text], delimiter=delimiter, strict=True))), number + 1
    except csv.Error as error:
        lone = "\r" in text and "its lines end in CR alone; expected LF or CRLF"
        raise SourceError(
            f"{file.name}: expected a header line, got {text[:80]!r}: {lone or error}"
        ) from None


def named(cells: list[str]) -> tuple[str, ...]:
    """Return the names of columns; one without a name (a delimiter at the end) is `column N`."""
    return tuple(cell.strip() or f"column {number}" for number, cell in enumerate(cells, 1))
