"""CSV to rows of text with exact lines: whole blocks by Arrow, and what is odd about them line by line.

A line is odd if it holds a quote, a NUL, a carriage return that ends no line, or nothing, or if it is too
long. Lines that are not odd are records; Arrow splits them at once. An odd line starts a record that Python's
strict csv reader takes, with as many of the next lines as the record needs.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc

from sql.landing.csv_records import OddLines, odd_places
from sql.landing.text_rows import LONGEST_LINE, SHOWN, Reject, is_text, read_lines

BLOCK = 1 << 23  # bytes
MORE = 1 << 20  # bytes by which a block grows where a record does not end in it
UNIT = "\x1f"  # stands for a delimiter of several bytes; a line that holds it is quarantined as nul_byte


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is to be split: its number of columns, the delimiter and the encoding."""

    width: int
    delimiter: str
    encoding: str

    @property
    def quoting(self) -> bool:
        """Whether quotes mean something; in files with a delimiter of several characters they do not."""
        return len(self.delimiter) == 1

    @property
    def byte(self) -> str:
        """The one byte that separates fields in a prepared block."""
        return self.delimiter if len(self.delimiter.encode()) == 1 else UNIT

    @property
    def recoded(self) -> bool:
        """Whether lines are in an encoding other than UTF-8."""
        return self.encoding.lower().replace("-", "") != "utf8"

    def prepared(self, data: bytes) -> bytes:
        """Return whole lines in UTF-8, one byte for the delimiter; a line that is no text gets a 0xff."""
        if self.recoded:
            data = _recoded(data, self.encoding)
        if self.byte == self.delimiter:
            return data
        return data.replace(UNIT.encode(), b"\0").replace(self.delimiter.encode(), UNIT.encode())

    def restored(self, text: str) -> str:
        """Return a text of a prepared block as it was written."""
        return text if self.byte == self.delimiter else text.replace(UNIT, self.delimiter)

    def as_written(self, reject: Reject) -> Reject:
        """Return a reject with its text as it was written."""
        marked = self.recoded and reject.rule == "bad_encoding"
        raw = reject.raw.removeprefix("\\xff") if marked else reject.raw
        return Reject(reject.line, reject.rule, self.restored(raw))


@dataclass
class CsvBlock:
    """Rows of one block: the line of each (int64), a column of texts each, and the lines that are no rows."""

    lines: npt.NDArray[np.int64]
    columns: list[Any]
    rejects: list[Reject]


def csv_blocks(stream: IO[bytes], first_line: int, form: CsvForm) -> Iterator[CsvBlock]:
    """Yield the rows of a stream whose next line is `first_line`, a block at a time.

    A record that does not end (an opened quote) gives up its first line only: the next line starts
    a record again, so that one stray quote costs one row.
    """
    csv.field_size_limit(LONGEST_LINE)
    left = b""
    while data := left + form.prepared(read_lines(stream, BLOCK)):
        if _is_blank(data):
            first_line, left = first_line + data.count(b"\n"), b""
            continue
        # where bytes are no UTF-8, each line that is not ASCII is looked at
        lines = _odd_lines(data, first_line, form, stream, high=not is_text(data))
        yield _rows(lines, form)
        first_line, left = lines.next_line, lines.data[lines.end :]


def _is_blank(data: bytes) -> bool:
    """Tell whether all lines are blank, which is quicker to see than to read a line at a time."""
    return data[:1] in {b"\r", b"\n"} and not data.replace(b"\r\n", b"\n").strip(b"\n")


def _odd_lines(data: bytes, first_line: int, form: CsvForm, stream: IO[bytes], *, high: bool) -> OddLines:
    return OddLines(
        data,
        first_line,
        lambda lines: odd_places(lines, form.quoting, high),
        lambda: form.prepared(read_lines(stream, MORE)),
    )


def _rows(lines: OddLines, form: CsvForm) -> CsvBlock:
    """Return the rows of a block: of its odd lines, and of all the others."""
    numbers: list[int] = []
    values: list[list[str | None]] = []
    ragged: list[Reject] = []
    for line, found in lines.records(form.byte, form.quoting, form.width):
        numbers.append(line)
        values.append([form.restored(value) or None for value in found])
    plain, columns = _plain_rows(lines, form, ragged)
    if numbers:
        odd = [pa.array(column, pa.string()) for column in zip(*values, strict=True)]
        columns = [pa.chunked_array([*c.chunks, o]) for c, o in zip(columns, odd, strict=True)]
    rejects = [form.as_written(reject) for reject in [*lines.rejects, *ragged]]
    return CsvBlock(np.concatenate([plain, np.array(numbers, np.int64)]), columns, rejects)


def _plain_rows(
    lines: OddLines, form: CsvForm, ragged: list[Reject]
) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Return numbers and columns of the lines that are not odd; those of another width go to `ragged`."""
    spans = lines.rest()
    if not spans:
        return np.zeros(0, np.int64), [pa.chunked_array([], pa.string())] * form.width
    data = lines.data
    if len(spans) > 1 or spans[0].end - spans[0].start < len(data):
        data = b"".join([data[span.start : span.end] for span in spans])
    numbers = np.concatenate([np.arange(span.line, span.next_line) for span in spans])
    dropped: list[int] = []

    def drop(row: Any) -> str:
        dropped.append(row.number - 1)
        ragged.append(Reject(int(numbers[row.number - 1]), "ragged_line", row.text[:SHOWN]))
        return "skip"

    table = _split(data, form, drop)
    return np.delete(numbers, dropped), table.columns


def _split(data: bytes, form: CsvForm, ragged: Callable[[Any], str]) -> Any:
    names = [f"c{place}" for place in range(form.width)]
    return pc.read_csv(
        pa.BufferReader(data),
        read_options=pc.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        parse_options=pc.ParseOptions(
            delimiter=form.byte, quote_char=False, double_quote=False, invalid_row_handler=ragged
        ),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _recoded(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError:
        return b"".join([_recoded_line(line, encoding) for line in data.split(b"\n")[:-1]])


def _recoded_line(line: bytes, encoding: str) -> bytes:
    try:
        return line.decode(encoding).encode() + b"\n"
    except UnicodeDecodeError:
        return b"\xff" + line + b"\n"  # is no UTF-8, so the line is quarantined as bad_encoding
