"""Lines of text to rows of text: CSV and JSON lines, with the line of every row and what is wrong with it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

LONGEST_LINE = 1 << 20  # bytes; a longer one is quarantined without being held in memory


@dataclass(frozen=True)
class Row:
    """One row of text, or what is wrong with it."""

    line: int
    values: Sequence[str | None]
    rule: str | None = None
    raw: str | None = None


class Lines:
    """The lines of a stream, decoded, with their numbers; lines can be given back.

    A line that is too long or cannot be decoded is a `Row` with its rule instead of text.
    """

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        self._back: list[str] = []
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line without its line end; raises BadLine for one that is no text."""
        line = self._back.pop() if self._back else self._read()
        self.number += 1
        self.taken.append(line)
        return line

    def _read(self) -> str:
        raw = self._stream.readline(LONGEST_LINE + 1)
        if not raw:
            raise StopIteration
        if len(raw) > LONGEST_LINE and not raw.endswith(b"\n"):
            while (rest := self._stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            self._bad("line_too_long", raw[:200])
        if self.number == 0:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in raw:
            self._bad("nul_byte", raw)
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            self._bad("bad_encoding", raw)
            raise

    def _bad(self, rule: str, raw: bytes) -> None:
        self.number += 1
        raise BadLine(rule, raw.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))

    def give_back(self, lines: Sequence[str]) -> None:
        """Give lines back, to be read again."""
        self._back.extend(reversed(lines))
        self.number -= len(lines)


class BadLine(Exception):  # noqa: N818 - a row for quarantine, not an error of the program
    """A line that is no text: its rule and what can be shown of it."""

    def __init__(self, rule: str, raw: str) -> None:
        super().__init__(rule)
        self.rule, self.raw = rule, raw


def split_line(line: str, delimiter: str) -> list[str]:
    """Return the fields of one line."""
    if len(delimiter) > 1:
        return line.rstrip("\r\n").split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def csv_rows(lines: Lines, width: int, delimiter: str) -> Iterator[Row]:
    """Yield the rows of a CSV file; blank lines are no rows.

    A record that does not end (an opened quote) gives up its first line only: the next line starts
    a record again, so that one stray quote costs one row.
    """
    csv.field_size_limit(LONGEST_LINE)
    while True:
        lines.taken.clear()
        start = lines.number + 1
        try:
            values = _next_record(lines, delimiter)
        except StopIteration:
            return
        except BadLine as bad:
            yield from _broken_record(lines)
            yield Row(lines.number, (), bad.rule, bad.raw)
            continue
        except csv.Error:
            lines.give_back(lines.taken[1:])
            yield Row(start, (), "malformed_record", lines.taken[0].rstrip("\r\n"))
            continue
        if not values:
            continue
        if len(values) != width:
            yield Row(start, (), "ragged_line", "".join(lines.taken).rstrip("\r\n"))
            continue
        yield Row(start, [value or None for value in values])


def _broken_record(lines: Lines) -> Iterator[Row]:
    """Yield the first line of a record that ran into a bad line, and the lines after it one by one."""
    for back, line in enumerate(lines.taken):
        yield Row(lines.number - len(lines.taken) + back, (), "malformed_record", line.rstrip("\r\n"))


def _next_record(lines: Lines, delimiter: str) -> list[str]:
    if len(delimiter) > 1:
        line = next(lines).rstrip("\r\n")
        return line.split(delimiter) if line else []
    return next(csv.reader(lines, delimiter=delimiter, strict=True))


def json_rows(lines: Lines, mapped: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a JSON lines file; numbers keep their text, so that no id is rounded."""
    while True:
        try:
            line = next(lines)
        except StopIteration:
            return
        except BadLine as bad:
            yield Row(lines.number, (), bad.rule, bad.raw)
            continue
        lines.taken.clear()
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            yield Row(lines.number, (), "malformed_json", line.rstrip("\r\n"))
            continue
        values = [as_text(found.pop(column, None)) for column in mapped]
        yield Row(lines.number, [*values, json.dumps(found, sort_keys=True) if found else None])


def as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, sort_keys=True)
