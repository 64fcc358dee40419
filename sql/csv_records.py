"""The odd lines of a block of CSV: found by their bytes, and read record by record with the line of each."""

from __future__ import annotations

import csv
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from sql.text_rows import LONGEST_LINE, SHOWN, Reject, text_of

QUOTE, NUL, RETURN = re.compile(b'"'), re.compile(b"\0"), re.compile(rb"\r(?!\n)")
BLANK = re.compile(rb"^\r?\n", re.MULTILINE)


class Span(NamedTuple):
    """Whole lines of a block: bytes from `start` to before `end`, lines from `line` to before `next_line`."""

    start: int
    end: int
    line: int
    next_line: int


class OddLines:
    """An iterator over odd lines, and over the lines that follow one for as long as its record is open.

    A record that does not end gives up its first line only; the lines after it are as they were.

    Parameters
    ----------
    data
        Whole lines in UTF-8.
    first_line
        The number of the first.
    odd
        Returns the ascending places of bytes that make a line odd.
    more
        Returns further whole lines of the file, for a record that does not end in `data`; none at its end.
    """

    def __init__(
        self, data: bytes, first_line: int, odd: Callable[[bytes], list[int]], more: Callable[[], bytes]
    ) -> None:
        self.data, self._find, self._more, self._odd = data, odd, more, odd(data)
        self._first_line = self.next_line = (
            first_line  # next_line is that after the data, once `rest` was asked
        )
        self._at, self._line = 0, first_line  # of the line after the last that was given
        self._open = False  # whether a record has begun that has not ended
        self._first = Span(0, 0, first_line, first_line)  # the first line of that record
        self.taken: list[Span] = []
        self.rejects: list[Reject] = []

    def records(self, delimiter: str, quoting: bool, width: int) -> Iterator[tuple[int, list[str]]]:
        """Yield line and values of the records of `width` values that start at odd lines.

        The others are in `rejects`. Of a record over several lines it is likelier that a stray quote
        joined them than that it has another width: it gives up its first line only.
        """
        reader = csv.reader(
            self,
            delimiter=delimiter,
            strict=True,
            quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
        )
        while True:
            self._open = False
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error:
                self._give_up("malformed_record")
                continue
            if values and len(values) != width:
                self._give_up("ragged_line" if self._at == self._first.end else "malformed_record")
                continue
            self.taken.append(Span(self._first.start, self._at, self._first.line, self._line))
            if values:
                yield self._first.line, values

    def rest(self) -> list[Span]:
        """Return the lines that no record took and no rule rejected, to the end of the data."""
        self.next_line = self._line + self.data.count(b"\n", self._at)
        end = Span(len(self.data), len(self.data), self.next_line, self.next_line)
        kept, at, line = [], 0, self._first_line
        for span in [*self.taken, end]:
            if span.start > at:
                kept.append(Span(at, span.start, line, span.line))
            at, line = span.end, span.next_line
        return kept

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line of the open record, or else the next odd line that is text."""
        while True:
            self._seek()
            span = Span(self._at, self.data.index(b"\n", self._at) + 1, self._line, self._line + 1)
            line = self.data[span.start : span.end]
            text = text_of(line)
            if isinstance(text, tuple) and self._open:
                raise csv.Error(text[0])
            self._at, self._line = span.end, span.next_line
            if isinstance(text, str):
                if not self._open:
                    self._first, self._open = span, True
                return text + ("\r\n" if line.endswith(b"\r\n") else "\n")
            self.taken.append(span)
            self.rejects.append(Reject(span.line, *text))

    def _seek(self) -> None:
        """Go to the next line to give."""
        if self._open and self._at == len(self.data):
            more = self._more()
            self._odd += [len(self.data) + place for place in self._find(more)]
            self.data += more
        if self._open:
            if self._at == len(self.data):
                raise StopIteration
            return
        place = bisect_left(self._odd, self._at)
        if place == len(self._odd):
            raise StopIteration
        self._line += self.data.count(b"\n", self._at, self._odd[place])
        self._at = max(self._at, self.data.rfind(b"\n", self._at, self._odd[place]) + 1)

    def _give_up(self, rule: str) -> None:
        first = self._first
        self._at, self._line = first.end, first.next_line
        self.taken.append(first)
        line = self.data[first.start : first.end].decode(errors="replace").rstrip("\r\n")
        self.rejects.append(Reject(first.line, rule, line[:SHOWN]))


def odd_places(data: bytes, quoting: bool, high: bool) -> list[int]:
    r"""Return the ascending places of bytes that make a line odd; `data` is whole lines, the last ends in \n.

    They are quotes, NULs, carriage returns that end no line, the start of blank and of too long lines and,
    if `high`, all that is not ASCII.
    """
    found = [match.start() for match in (QUOTE if quoting else NUL).finditer(data)]
    if quoting and b"\0" in data:
        found += [match.start() for match in NUL.finditer(data)]
    if high:
        found += np.flatnonzero(np.frombuffer(data, np.uint8) >= 128).tolist()
    returns = b"\r" in data
    if returns and data.count(b"\r") != data.count(b"\r\n"):
        found += [match.start() for match in RETURN.finditer(data)]
    if data.startswith((b"\n", b"\r\n")) or b"\n\n" in data or (returns and b"\n\r\n" in data):
        found += [match.start() for match in BLANK.finditer(data)]
    if data.startswith(b"\xef\xbb\xbf"):  # Arrow would drop it, as a byte order mark
        found.append(0)
    return sorted(found + _long_lines(data))


def _long_lines(data: bytes) -> list[int]:
    found, at = [], 0
    while len(data) - at > LONGEST_LINE:
        end = data.rfind(b"\n", at, at + LONGEST_LINE + 1)
        if end < 0:
            found.append(at)
            end = data.index(b"\n", at)
        at = end + 1
    return found
