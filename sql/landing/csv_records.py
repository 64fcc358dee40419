"""The odd lines of a block of CSV: located by their bytes, then read record by record."""

from __future__ import annotations

import csv
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sql.landing.csv_quotes import Quotes
from sql.landing.text_rows import EXCERPT, LONGEST_LINE, Reject, decode_line

BLANKS = re.compile(rb"(?:\r?\n)+")
LETTERS = string.ascii_letters.encode()
PATIENCE = 1 << 17  # lines of a block that unfinished records may waste
Positions = npt.NDArray[np.int64]


class Span(NamedTuple):
    """Whole lines of a block: bytes `start:end`, lines from `line` up to before `next_line`."""

    start: int
    end: int
    line: int
    next_line: int


SHAPE = bytes.maketrans(b"0123456789" + LETTERS, b"0" * 10 + b"a" * len(LETTERS))


@dataclass(frozen=True)
class RecordForm:
    """How records are split: their width, delimiter (one byte), quotes, and the columns of the time."""

    width: int
    delimiter: str
    quotes: Quotes
    times: tuple[int, ...] = ()

    def time_shape(self, line: bytes) -> bytes | None:
        """Return a line's time with 0 for digits and a for letters; None if it is no row by itself."""
        cells = line.split(self.delimiter.encode())
        if len(cells) != self.width:
            return None
        shape = b" ".join(cells[index] for index in self.times).strip().translate(SHAPE)
        return shape if b"0" in shape else None


class OddLines:
    """Iterates over odd lines, and over the lines after one while its record is open.

    A record that does not end within LONGEST_LINE bytes loses only its first line; the lines after
    it are read again. Once PATIENCE lines have been wasted this way, every record ends with its
    line. Otherwise a file in which each line opens a record would take quadratic time.

    Parameters
    ----------
    data
        Whole lines in UTF-8.
    first_line
        The number of the first line.
    find_odd
        Returns the ascending positions of the bytes that make a line odd.
    read_more
        Returns further whole lines of the file, to complete a record; nothing at the end of the
        file.
    """

    def __init__(
        self,
        data: bytes,
        first_line: int,
        find_odd: Callable[[bytes], Positions],
        read_more: Callable[[], bytes],
    ) -> None:
        self.data, self._find_odd, self._read_more, self._odd = data, find_odd, read_more, find_odd(data)
        self._first_line = first_line
        self.next_line = first_line  # `plain_spans` sets it to the line after the block
        self._at, self._line = 0, first_line  # byte and number of the next unread line
        self._block_end = len(data)  # records start before it; later bytes only complete one
        self._open = False  # whether a record has started and not ended
        self._first = Span(0, 0, first_line, first_line)  # the first line of the open record
        self._quotes, self._texts = Quotes(), list[str]()  # the lines of the open record, marked
        self._wasted = 0
        self.consumed: list[Span] = []
        self.rejects: list[Reject] = []

    def records(self, form: RecordForm) -> Iterator[tuple[int, list[str]]]:
        """Yield line and values of each record of the right width that starts at an odd line.

        Other records are added to `rejects`. If a record over several lines has the wrong width, or
        its lines are rows by themselves, a stray quote probably joined them: it loses only its
        first line. Before that, a line with a backslash before a quote is read as Spark writes it.
        """
        plain = self._quotes = form.quotes
        reader = csv.reader(
            self,
            delimiter=form.delimiter,
            strict=True,
            quoting=csv.QUOTE_MINIMAL if plain.enclose else csv.QUOTE_NONE,
        )
        while True:
            self._open = False
            values: list[str] = []
            try:
                values = next(reader)
                broken = self._broken_rule(values, form)
            except StopIteration:
                return
            except csv.Error:
                broken = "malformed_record"
            if broken and self._quotes is plain and plain.may_escape(self._opening()):
                self._quotes = replace(plain, escape="\\")
                self._rewind(self._first.start, self._first.line)
                continue
            if broken:
                self._give_up(broken)
            else:
                self.consumed.append(Span(self._first.start, self._at, self._first.line, self._line))
            quotes, self._quotes = self._quotes, plain
            if values and not broken:
                yield self._first.line, quotes.restored("".join(self._texts), values)

    def _broken_rule(self, values: list[str], form: RecordForm) -> str | None:
        """Return the rule that a record breaks, None for a row or a blank line."""
        if values and len(values) != form.width:
            return "ragged_line" if self._at == self._first.end else "malformed_record"
        return "open_quote" if self._swallows_rows(form) else None

    def _opening(self) -> bytes:
        return self.data[self._first.start : self._first.end]

    def _rewind(self, at: int, line: int) -> None:
        """Go back to a line of the open record."""
        self._wasted += self._line - line
        self._at, self._line = at, line

    def _swallows_rows(self, form: RecordForm) -> bool:
        """Tell whether the lines of this record are rows by themselves: most have a time like its own."""
        if self._at == self._first.end or not form.times:
            return False
        first = form.time_shape(self._opening())
        lines = self.data[self._first.end : self._at].split(b"\n")[:-1]
        rows = sum(form.time_shape(line) == first for line in lines)
        return first is not None and rows * 2 > len(lines)

    @property
    def end(self) -> int:
        """Where the data of this block end; the rest belongs to the next block."""
        return max(self._at, self._block_end)

    def plain_spans(self) -> list[Span]:
        """Return the lines of the block that no odd record consumed and no rule rejected."""
        self.next_line = self._line + self.data.count(b"\n", self._at, self.end)
        end = Span(self.end, self.end, self.next_line, self.next_line)
        kept, at, line = [], 0, self._first_line
        for span in [*self.consumed, end]:
            if span.start > at:
                kept.append(Span(at, span.start, line, span.line))
            at, line = span.end, span.next_line
        return kept

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line of the open record, or the next odd line that is valid text."""
        while True:
            if self._open and self._is_hopeless():
                raise csv.Error
            self._seek()
            span = Span(self._at, self.data.index(b"\n", self._at) + 1, self._line, self._line + 1)
            line = self.data[span.start : span.end]
            if not self._open and line in {b"\n", b"\r\n"}:
                self._skip_blanks()
                continue
            text = decode_line(line)
            if self._open and isinstance(text, tuple):
                raise csv.Error
            self._at, self._line = span.end, span.next_line
            if isinstance(text, str):
                if not self._open:
                    self._first, self._open, self._texts = span, True, []
                marked = self._quotes.marked(text) + ("\r\n" if line.endswith(b"\r\n") else "\n")
                self._texts.append(marked)
                return marked
            self.consumed.append(span)
            self.rejects.append(Reject(span.line, *text))

    def _skip_blanks(self) -> None:
        """Skip the blank lines here, which are not records."""
        match = BLANKS.match(self.data, self._at)
        end = match.end() if match else self._at
        span = Span(self._at, end, self._line, self._line + self.data.count(b"\n", self._at, end))
        self.consumed.append(span)
        self._at, self._line = span.end, span.next_line

    def _is_hopeless(self) -> bool:
        """Tell whether to stop reading the open record."""
        return self._at - self._first.start > LONGEST_LINE or self._wasted > PATIENCE

    def _seek(self) -> None:
        """Move to the next line to return."""
        if self._open and self._at == len(self.data):
            more = self._read_more()
            self._odd = np.concatenate([self._odd, self._find_odd(more) + len(self.data)])
            self.data += more
        if self._open:
            if self._at == len(self.data):
                raise StopIteration
            return
        index = int(np.searchsorted(self._odd, self._at))
        if index == len(self._odd) or self._odd[index] >= self._block_end:
            raise StopIteration
        odd = int(self._odd[index])
        self._line += self.data.count(b"\n", self._at, odd)
        self._at = max(self._at, self.data.rfind(b"\n", self._at, odd) + 1)

    def _give_up(self, rule: str) -> None:
        self._rewind(self._first.end, self._first.next_line)
        self.consumed.append(self._first)
        line = self._opening().decode(errors="replace").rstrip("\r\n")
        self.rejects.append(Reject(self._first.line, rule, line[:EXCERPT]))


def odd_positions(data: bytes, mark: bytes, high: bool) -> Positions:
    r"""Return the ascending positions of the bytes that make a line of `data` odd.

    `data` is whole lines, the last ending in \n. The bytes are `mark` (a quote or an
    escape), NULs, carriage returns that do not end a line, the starts of blank and of overlong
    lines and, if `high`, all bytes that are not ASCII.
    """
    octets = np.frombuffer(data, np.uint8)
    positions = [_long_lines(data)]
    if mark and mark in data:
        positions.append(np.flatnonzero(octets == ord(mark)))
    if b"\0" in data:
        positions.append(np.flatnonzero(octets == 0))
    if high:
        positions.append(np.flatnonzero(octets >= 128))
    if b"\r" in data:
        returns = np.flatnonzero(octets == ord("\r"))
        ends = octets[returns + 1] == ord("\n")
        positions += [returns[~ends], returns[ends & _starts_line(octets, returns)]]
    if data.startswith(b"\n") or b"\n\n" in data:
        newlines = np.flatnonzero(octets == ord("\n"))
        positions.append(newlines[_starts_line(octets, newlines)])
    if data.startswith(b"\xef\xbb\xbf"):  # Arrow would drop it as a byte order mark
        positions.append(np.zeros(1, np.int64))
    nonempty = [part for part in positions if len(part)]
    return np.sort(np.concatenate(nonempty)) if nonempty else np.zeros(0, np.int64)


def _starts_line(octets: npt.NDArray[np.uint8], positions: Positions) -> npt.NDArray[np.bool_]:
    return np.asarray((positions == 0) | (octets[positions - 1] == ord("\n")), np.bool_)


def _long_lines(data: bytes) -> Positions:
    starts: list[int] = []
    at = 0
    while len(data) - at > LONGEST_LINE:
        end = data.rfind(b"\n", at, at + LONGEST_LINE + 1)
        if end < 0:
            starts.append(at)
            end = data.index(b"\n", at)
        at = end + 1
    return np.array(starts, np.int64)
