"""JSON arrays of records to rows: read record by record, in bounded memory.

A file may hold several arrays, one behind another. A record that cannot be read is one rejected
row; an array that does not end, or is no array, is a damaged file.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO

from sql.errors import SourceError
from sql.landing.landing import RawFile, Wanted, line_encoding, open_text
from sql.landing.text_rows import BATCH, CHUNK, EXCERPT, LONGEST_LINE, Reject, Rows, digits, json_values
from sql.reading import Reading

DECODER = json.JSONDecoder(parse_int=str, parse_float=digits, parse_constant=str)
HELD = 1 << 22  # characters of records in a batch
SPACE = re.compile(r"[ \t\r\n]*")
MARKS = re.compile(r'\\.|["{}\[\],]', re.DOTALL)
Batch = tuple[list[int], list[list[str | None]], list[Reject]]


def is_array(file: RawFile, reading: Reading) -> bool:
    """Return whether a file begins with an array, as its only content or before further arrays.

    Otherwise it is JSON lines, of which the first is an array, and so no row.
    """
    with open_text(file, reading) as stream:
        text = _Text(stream, reading)
        if text.next() != "[":
            return False
        text.fill(LONGEST_LINE)
        first, end, rest = text.head().partition("\n")
        try:
            return not isinstance(json.loads(first), list) or not end or rest.lstrip()[:1] in {"", "["}
        except (ValueError, RecursionError):
            return True


def array_batches(file: RawFile, stream: IO[bytes], reading: Reading, wanted: Wanted) -> Iterator[Batch]:
    """Yield line numbers, values and rejects of a file's arrays, as `json_batches` does for lines.

    The line of a record is the one in which it begins. SourceError if the file is damaged.
    """
    text = _Text(stream, reading)
    batch: Batch = ([], [], [])
    held = 0
    while (mark := text.next()) == "[":
        text.skip(1)
        while text.next() not in {"]", ""}:
            line = text.line
            row, size = text.record(wanted)
            if isinstance(row, list):
                batch[0].extend([line] * len(row))
                batch[1].extend(row)
            else:
                batch[2].append(Reject(line, *row))
            held += size
            if held > HELD or len(batch[0]) + len(batch[2]) >= BATCH:
                yield batch
                batch, held = ([], [], []), 0
            if text.next() not in {",", "]", ""}:
                raise SourceError(_damage(file, text, "expected , or ] after a record"))
            if text.next() == ",":
                text.skip(1)
        if not text.next():
            raise SourceError(_damage(file, text, "it does not end with ]; is the file whole?"))
        text.skip(1)
    if mark:
        raise SourceError(_damage(file, text, "expected nothing behind its end"))
    yield batch


def _damage(file: RawFile, text: _Text, problem: str) -> str:
    got = f", got {text.head()[:20]!r}" if text.next() else ""
    return f"{file.name}: the JSON array is damaged in line {text.line}: {problem}{got}"


class _Text:
    """The text of a stream from the next unread character on; bytes that are no text stay marked."""

    def __init__(self, stream: IO[bytes], reading: Reading) -> None:
        encoding = line_encoding(reading.encoding)
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._text, self._at, self._ended = "", 0, False
        self.line = 1
        self.fill(1)
        if self._text.startswith("\ufeff"):
            self._at = 1

    def head(self) -> str:
        """Return the text that is in memory."""
        return self._text[self._at :]

    def fill(self, characters: int) -> None:
        """Read until so many characters are in memory, or the stream ends."""
        while len(self._text) - self._at < characters and self._more():
            pass

    def next(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            match = SPACE.match(self._text, self._at)
            self.skip((match.end() if match else self._at) - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self, characters: int) -> None:
        """Leave characters behind."""
        self.line += self._text.count("\n", self._at, self._at + characters)
        self._at += characters

    def record(self, wanted: Wanted) -> tuple[Rows | tuple[str, str], int]:
        """Return the rows of the record here, or the rule it breaks and an excerpt; and its size."""
        while True:
            try:
                content, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                if len(self._text) - self._at > LONGEST_LINE or not self._more():
                    return self._broken()
                continue
            if end < len(self._text) or not self._more():
                break
        size, written = end - self._at, self._text[self._at : min(end, self._at + EXCERPT)]
        self.skip(size)
        if size > LONGEST_LINE:
            return ("line_too_long", written), size
        return json_values(content, written, wanted), size

    def _broken(self) -> tuple[tuple[str, str], int]:
        """Leave behind a record that is not JSON, up to the comma or bracket after it."""
        excerpt = self._text[self._at : self._at + EXCERPT]
        depth, quoted, size, whole = 0, False, 0, False
        while not whole:
            scanned = self._at
            for match in MARKS.finditer(self._text, self._at):
                mark = match.group()
                if mark == '"':
                    quoted = not quoted
                elif not quoted and depth == 0 and mark in {",", "]"}:
                    scanned, whole = match.start(), True
                    break
                elif not quoted:
                    depth += (mark in {"{", "["}) - (mark in {"}", "]"})
                scanned = match.end()
            if not whole:  # a backslash may be half of an escape
                scanned = max(scanned, len(self._text) - 1)
            size += scanned - self._at
            self.skip(scanned - self._at)
            if not whole and not self._more():
                self.skip(len(self._text) - self._at)
                break
        rule = "nul_byte" if "\0" in excerpt else "malformed_json"
        return ("line_too_long" if size > LONGEST_LINE else rule, excerpt), size

    def _more(self) -> bool:
        """Read on; return whether there was more."""
        while not self._ended:
            data = self._stream.read(CHUNK)
            self._ended = not data
            text = self._decoder.decode(data, final=not data)
            if text:
                self._text, self._at = self._text[self._at :] + text, 0
                return True
        return False
