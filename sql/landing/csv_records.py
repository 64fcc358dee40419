"""The odd lines of a block of CSV: found by their bytes, and read record by record with the line of each."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sql.landing.text_rows import LONGEST_LINE, SHOWN, Reject, text_of

BLANKS = re.compile(rb"(?:\r?\n)+")
PATIENCE = 1 << 17  # lines of a block that may be read in vain, in records that do not end
Places = npt.NDArray[np.int64]


class Span(NamedTuple):
    """Whole lines of a block: bytes from `start` to before `end`, lines from `line` to before `next_line`."""

    start: int
    end: int
    line: int
    next_line: int


class OddLines:
    """An iterator over odd lines, and over the lines that follow one for as long as its record is open.

    A record that does not end, or not within LONGEST_LINE bytes, gives up its first line only; the lines
    after it are as they were. Where that has happened so often that PATIENCE lines were read in vain, records
    end with their line: lines made to open a record each would otherwise cost the square of their number.

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
        self, data: bytes, first_line: int, odd: Callable[[bytes], Places], more: Callable[[], bytes]
    ) -> None:
        self.data, self._find, self._more, self._odd = data, odd, more, odd(data)
        self._first_line = self.next_line = (
            first_line  # next_line is that after the data, once `rest` was asked
        )
        self._at, self._line = 0, first_line  # of the line after the last that was given
        self._own = len(data)  # where records may begin; what is behind it was read to end one
        self._open = False  # whether a record has begun that has not ended
        self._first = Span(0, 0, first_line, first_line)  # the first line of that record
        self._in_vain = 0
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

    @property
    def end(self) -> int:
        """Where the data end that are ours; what follows is for the next block."""
        return max(self._at, self._own)

    def rest(self) -> list[Span]:
        """Return the lines that no record took and no rule rejected, to the end of what is ours."""
        self.next_line = self._line + self.data.count(b"\n", self._at, self.end)
        end = Span(self.end, self.end, self.next_line, self.next_line)
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
            if self._open and self._hopeless():
                raise csv.Error
            self._seek()
            span = Span(self._at, self.data.index(b"\n", self._at) + 1, self._line, self._line + 1)
            line = self.data[span.start : span.end]
            if not self._open and line in {b"\n", b"\r\n"}:
                self._skip_blanks()
                continue
            text = text_of(line)
            if self._open and isinstance(text, tuple):
                raise csv.Error
            self._at, self._line = span.end, span.next_line
            if isinstance(text, str):
                if not self._open:
                    self._first, self._open = span, True
                return text + ("\r\n" if line.endswith(b"\r\n") else "\n")
            self.taken.append(span)
            self.rejects.append(Reject(span.line, *text))

    def _skip_blanks(self) -> None:
        """Go past the blank lines here, which are no records."""
        found = BLANKS.match(self.data, self._at)
        end = found.end() if found else self._at
        span = Span(self._at, end, self._line, self._line + self.data.count(b"\n", self._at, end))
        self.taken.append(span)
        self._at, self._line = span.end, span.next_line

    def _hopeless(self) -> bool:
        """Tell whether the open record is not worth a further line."""
        return self._at - self._first.start > LONGEST_LINE or self._in_vain > PATIENCE

    def _seek(self) -> None:
        """Go to the next line to give."""
        if self._open and self._at == len(self.data):
            more = self._more()
            self._odd = np.concatenate([self._odd, self._find(more) + len(self.data)])
            self.data += more
        if self._open:
            if self._at == len(self.data):
                raise StopIteration
            return
        place = int(np.searchsorted(self._odd, self._at))
        if place == len(self._odd) or self._odd[place] >= self._own:
            raise StopIteration
        odd = int(self._odd[place])
        self._line += self.data.count(b"\n", self._at, odd)
        self._at = max(self._at, self.data.rfind(b"\n", self._at, odd) + 1)

    def _give_up(self, rule: str) -> None:
        first = self._first
        self._in_vain += self._line - first.next_line
        self._at, self._line = first.end, first.next_line
        self.taken.append(first)
        line = self.data[first.start : first.end].decode(errors="replace").rstrip("\r\n")
        self.rejects.append(Reject(first.line, rule, line[:SHOWN]))


def odd_places(data: bytes, quoting: bool, high: bool) -> Places:
    r"""Return the ascending places of bytes that make a line odd; `data` is whole lines, the last ends in \n.

    They are quotes, NULs, carriage returns that end no line, the start of blank and of too long lines and,
    if `high`, all that is not ASCII.
    """
    octets = np.frombuffer(data, np.uint8)
    found = [_long_lines(data)]
    if quoting and b'"' in data:
        found.append(np.flatnonzero(octets == ord('"')))
    if b"\0" in data:
        found.append(np.flatnonzero(octets == 0))
    if high:
        found.append(np.flatnonzero(octets >= 128))
    if b"\r" in data:
        returns = np.flatnonzero(octets == ord("\r"))
        ends = octets[returns + 1] == ord("\n")
        found += [returns[~ends], returns[ends & _starts_line(octets, returns)]]
    if data.startswith(b"\n") or b"\n\n" in data:
        newlines = np.flatnonzero(octets == ord("\n"))
        found.append(newlines[_starts_line(octets, newlines)])
    if data.startswith(b"\xef\xbb\xbf"):  # Arrow would drop it, as a byte order mark
        found.append(np.zeros(1, np.int64))
    places = [some for some in found if len(some)]
    return np.sort(np.concatenate(places)) if places else np.zeros(0, np.int64)


def _starts_line(octets: npt.NDArray[np.uint8], places: Places) -> npt.NDArray[np.bool_]:
    return np.asarray((places == 0) | (octets[places - 1] == ord("\n")), np.bool_)


def _long_lines(data: bytes) -> Places:
    found: list[int] = []
    at = 0
    while len(data) - at > LONGEST_LINE:
        end = data.rfind(b"\n", at, at + LONGEST_LINE + 1)
        if end < 0:
            found.append(at)
            end = data.index(b"\n", at)
        at = end + 1
    return np.array(found, np.int64)
