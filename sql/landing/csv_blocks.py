"""CSV to rows of text with exact line numbers: Arrow splits whole blocks, Python reads odd lines.

A line is odd if it is blank, is too long, or holds a quote, a NUL or a carriage return that does
not end the line. Every other line is a record, and Arrow splits all of them at once. An odd line
starts a record for Python's strict csv reader, which reads on for as many lines as the record
needs.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from sql.landing.csv_quotes import Quotes
from sql.landing.csv_records import OddLines, RecordForm, odd_positions
from sql.landing.text_rows import EXCERPT, LONGEST_LINE, LineReader, Reject, is_text

BLOCK = 1 << 23  # bytes
MORE = 1 << 20  # bytes read at a time to complete the last record of a block
UNIT = "\x1f"  # replaces a delimiter of several bytes; lines with one are quarantined (nul_byte)


@dataclass(frozen=True)
class CsvForm:
    """How to split a CSV file: its number of columns, its delimiter, its encoding and its quotes.

    `last_counts` says that the last column is one whose values must be whole; `times` are the
    positions of the columns of the time.
    """

    width: int
    delimiter: str
    encoding: str
    quoted: bool = True
    escape: str = ""
    last_counts: bool = False
    times: tuple[int, ...] = ()

    @property
    def quotes(self) -> Quotes:
        """The quotes of the file; with a delimiter of several characters they are plain text."""
        return Quotes(self.quoted and len(self.delimiter) == 1, self.escape, self.byte)

    @property
    def byte(self) -> str:
        """The single byte that separates fields in a prepared block."""
        return self.delimiter if len(self.delimiter.encode()) == 1 else UNIT

    @property
    def recoded(self) -> bool:
        """Whether lines are in an encoding other than UTF-8."""
        return self.encoding.lower().replace("-", "") != "utf8"

    def prepare(self, data: bytes) -> bytes:
        """Return lines in UTF-8 with a one-byte delimiter; undecodable lines start with 0xff."""
        if self.recoded:
            data = _recode(data, self.encoding)
        if self.byte == self.delimiter:
            return data
        return data.replace(UNIT.encode(), b"\0").replace(self.delimiter.encode(), UNIT.encode())

    def restore(self, text: str) -> str:
        """Return text of a prepared block as the file has it."""
        return text if self.byte == self.delimiter else text.replace(UNIT, self.delimiter)

    def as_written(self, reject: Reject) -> Reject:
        """Return a reject with its text as the file has it."""
        marked = self.recoded and reject.rule == "bad_encoding"
        raw = reject.raw.removeprefix("\\xff") if marked else reject.raw
        return Reject(reject.line, reject.rule, self.restore(raw))


@dataclass
class CsvBlock:
    """Rows of one block: their line numbers (int64) and text columns, and the rejected lines."""

    lines: npt.NDArray[np.int64]
    columns: list[Any]
    rejects: list[Reject]


def csv_blocks(stream: IO[bytes], first_line: int, form: CsvForm) -> Iterator[CsvBlock]:
    """Yield the rows of a stream block by block; the next line of the stream is `first_line`.

    An unfinished record (an open quote) loses only its first line. The next line starts a new
    record, so one stray quote costs one row. A last line without an end may be cut: it is a row if
    its last value must not be whole, or is in quotes, or as long as every other value there.
    """
    csv.field_size_limit(LONGEST_LINE)
    rest, reader, lengths = b"", LineReader(stream), set[int]()
    while data := rest + form.prepare(reader.read(BLOCK)):
        if _is_blank(data):
            first_line, rest = first_line + data.count(b"\n"), b""
            continue
        # if the block is not valid UTF-8, every line that is not ASCII is checked
        lines = _odd_lines(data, first_line, form, reader, high=not is_text(data))
        block = _rows(lines, form)
        first_line, rest = lines.next_line, lines.data[lines.end :]
        if form.last_counts and reader.unended and not rest:
            block = _without_cut(block, lengths, lines.data[: lines.end].rstrip(b"\r\n"), form)
        elif form.last_counts and len(lengths) < 2:  # it is enough to know of two
            lengths.update(np.unique(_last_lengths(block))[:2].tolist())
        yield block


def _last_lengths(block: CsvBlock) -> npt.NDArray[np.int64]:
    """Return the length in bytes of each value in the last column."""
    lengths = pc.binary_length(block.columns[-1]).fill_null(0).to_numpy()
    return np.asarray(lengths, np.int64)


def _without_cut(block: CsvBlock, lengths: set[int], data: bytes, form: CsvForm) -> CsvBlock:
    """Return the last block of a file without its last row if that row may be cut.

    `data` ends with the last line; `lengths` are those of the last column in the blocks before.
    """
    closed = form.quotes.enclose and data.endswith(b'"')
    last = int(block.lines.max(initial=-1))
    if closed or last < 0 or any(reject.line > last for reject in block.rejects):
        return block
    sizes, kept = _last_lengths(block), block.lines != last
    if lengths | {*sizes[kept].tolist()} == {*sizes[~kept].tolist()}:
        return block
    raw = form.restore(data[data.rfind(b"\n") + 1 :].decode(errors="replace"))
    reject = Reject(last, "unended_line", raw[:EXCERPT])
    columns = [column.filter(pa.array(kept)) for column in block.columns]
    return CsvBlock(block.lines[kept], columns, [*block.rejects, reject])


def _is_blank(data: bytes) -> bool:
    """Tell whether all lines are blank; checking the block is faster than reading each line."""
    return data[:1] in {b"\r", b"\n"} and not data.replace(b"\r\n", b"\n").strip(b"\n")


def _odd_lines(data: bytes, first_line: int, form: CsvForm, reader: LineReader, *, high: bool) -> OddLines:
    return OddLines(
        data,
        first_line,
        lambda lines: odd_positions(lines, form.quotes.mark, high),
        lambda: form.prepare(reader.read(MORE)),
    )


def _rows(lines: OddLines, form: CsvForm) -> CsvBlock:
    """Return the rows of a block, from its plain and its odd lines."""
    numbers: list[int] = []
    values: list[list[str | None]] = []
    ragged: list[Reject] = []
    for line, fields in lines.records(RecordForm(form.width, form.byte, form.quotes, form.times)):
        numbers.append(line)
        values.append([form.restore(value) or None for value in fields])
    plain, columns = _plain_rows(lines, form, ragged)
    if numbers:
        odd = [pa.array(column, pa.string()) for column in zip(*values, strict=True)]
        columns = [pa.chunked_array([*c.chunks, o]) for c, o in zip(columns, odd, strict=True)]
    rejects = [form.as_written(reject) for reject in [*lines.rejects, *ragged]]
    return CsvBlock(np.concatenate([plain, np.array(numbers, np.int64)]), columns, rejects)


def _plain_rows(
    lines: OddLines, form: CsvForm, ragged: list[Reject]
) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Return line numbers and columns of the plain lines; lines of another width go to `ragged`."""
    spans = lines.plain_spans()
    if not spans:
        return np.zeros(0, np.int64), [pa.chunked_array([], pa.string())] * form.width
    data = lines.data
    if len(spans) > 1 or spans[0].end - spans[0].start < len(data):
        data = b"".join([data[span.start : span.end] for span in spans])
    numbers = np.concatenate([np.arange(span.line, span.next_line) for span in spans])
    dropped: list[int] = []

    def drop(row: Any) -> str:
        dropped.append(row.number - 1)
        ragged.append(Reject(int(numbers[row.number - 1]), "ragged_line", row.text[:EXCERPT]))
        return "skip"

    table = _split(data, form, drop)
    return np.delete(numbers, dropped), table.columns


def _split(data: bytes, form: CsvForm, ragged: Callable[[Any], str]) -> Any:
    names = [f"c{index}" for index in range(form.width)]
    return pacsv.read_csv(
        pa.BufferReader(data),
        read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        parse_options=pacsv.ParseOptions(
            delimiter=form.byte, quote_char=False, double_quote=False, invalid_row_handler=ragged
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _recode(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError:
        return b"".join([_recode_line(line, encoding) for line in data.split(b"\n")[:-1]])


def _recode_line(line: bytes, encoding: str) -> bytes:
    try:
        return line.decode(encoding).encode() + b"\n"
    except UnicodeDecodeError:
        return b"\xff" + line + b"\n"  # invalid UTF-8, so the line is quarantined as bad_encoding
