"""Lines of text: read whole, decoded or rejected; and JSON lines to rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Any

from sql.landing.landing import Wanted
from sql.landing.nested import elements_of, value_of
from sql.source import ELEMENT

LONGEST_LINE = 1 << 20  # bytes; longer lines are quarantined without being held in memory
BATCH = 1 << 16  # rows
EXCERPT = 2000  # characters kept of a quarantined line
CHUNK = 1 << 18  # bytes read at once
EXACT_DOUBLE = 2**53  # up to here each whole number is a double of its own
MOST_LINES = 1 << 17  # in a block: short lines cost more memory than their bytes

Rows = list[list[str | None]]


@dataclass(frozen=True)
class Reject:
    """A line that is not a row: its number, the rule it breaks and its text."""

    line: int
    rule: str
    raw: str


class LineReader:
    """Reads whole lines of a stream.

    Attributes
    ----------
    unended
        Whether the last line of the stream was read and had no line end: it may be cut.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.unended = False

    def read(self, size: int) -> bytes:
        r"""Return about `size` bytes of whole lines, each ending in \n; an overlong line is cut short.

        Very short lines give fewer bytes: the block ends with the first CHUNK that reaches
        MOST_LINES lines.
        """
        pieces: list[bytes] = []
        missing, lines = size, 0
        while missing > 0 and lines < MOST_LINES and (piece := self._stream.read(min(missing, CHUNK))):
            pieces.append(piece)
            missing -= len(piece)
            lines += piece.count(b"\n")
        data = b"".join(pieces)
        while data and not data.endswith(b"\n"):
            line_end = self._stream.readline(LONGEST_LINE + 1)
            if len(line_end) > LONGEST_LINE and not line_end.endswith(b"\n"):
                while (skipped := self._stream.readline(LONGEST_LINE)) and not skipped.endswith(b"\n"):
                    pass
            self.unended = not line_end.endswith(b"\n")
            data += line_end + b"\n" * self.unended
        return data


def is_text(data: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode_line(line: bytes, encoding: str = "utf-8") -> str | tuple[str, str]:
    """Return a line's text without its end, or the rule it breaks and an excerpt."""
    plain = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(plain) > LONGEST_LINE:
        return "line_too_long", excerpt(plain)
    if b"\0" in plain:
        return "nul_byte", excerpt(plain)
    try:
        return plain.decode(encoding)
    except UnicodeDecodeError:
        return "bad_encoding", excerpt(plain)


def excerpt(line: bytes) -> str:
    """Return the start of a line for quarantine, with invalid bytes escaped."""
    return line[: EXCERPT * 4].decode("utf-8", "backslashreplace")[:EXCERPT]


def printable(text: str) -> str:
    """Return a text for a message, with unprintable characters and line ends escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def json_batches(
    stream: IO[bytes], encoding: str, wanted: Wanted, first: int = 1
) -> Iterator[tuple[list[int], list[list[str | None]], list[Reject]]]:
    """Yield line numbers, values and rejects of JSON lines; numbers stay text, so no id is rounded.

    A row holds the values of the `wanted` keys and, last, all other keys as one JSON object. `first`
    is the number of the first line.
    """
    number, reader = first - 1, LineReader(stream)
    while data := reader.read(BATCH * 64):
        lines: list[int] = []
        rows: list[list[str | None]] = []
        rejects: list[Reject] = []
        for raw in data.split(b"\n")[:-1]:
            number += 1
            if not raw:
                continue
            row = _json_row(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, encoding, wanted)
            if isinstance(row, list):
                lines += [number] * len(row)
                rows += row
            elif row is not None:
                rejects.append(Reject(number, *row))
        yield lines, rows, rejects


def _json_row(line: bytes, encoding: str, wanted: Wanted) -> Rows | tuple[str, str] | None:
    text = decode_line(line, encoding)
    if isinstance(text, tuple):
        return text
    if not text.strip(" \t"):
        return None
    try:
        content = json.loads(text, parse_int=str, parse_float=digits, parse_constant=str)
    except (ValueError, RecursionError):
        return "malformed_json", text[:EXCERPT]
    return json_values(content, text, wanted)


def json_values(content: Any, text: str, wanted: Wanted) -> Rows | tuple[str, str]:
    """Return the rows of a decoded JSON record, or the rule it breaks and an excerpt of its text."""
    if not isinstance(content, dict):
        return "malformed_json", text[:EXCERPT]
    try:
        rows = _rows(content, wanted)
        if isinstance(rows, str):
            return rows, text[:EXCERPT]
        joined = "".join(value for row in rows for value in row if value)
        joined.encode()
    except UnicodeEncodeError:  # an escape such as \ud800, half a surrogate pair
        return "bad_encoding", _escaped(text)
    except (ValueError, RecursionError):
        return "malformed_json", text[:EXCERPT]
    return ("nul_byte", text[:EXCERPT]) if "\0" in joined else rows


def _rows(content: dict[str, Any], wanted: Wanted) -> Rows | str:
    """Return the rows of an object: one, or one of each element of the wanted list; or a rule."""
    elements = elements_of(content, wanted)
    if elements is None:
        return "not_a_list"
    rows: Rows = []
    top = {name for name in wanted.columns if name in content}
    top |= set() if wanted.list_of is None else {wanted.list_of.partition(".")[0]}
    rest = {key: value for key, value in content.items() if key not in top and value not in (None, "")}
    for number, element in elements:
        values = [value_of(content, element, name) for name in wanted.columns]
        if any(
            isinstance(value, dict | list) and name in wanted.scalars
            for name, value in zip(wanted.columns, values, strict=True)
        ):
            return "nested_value"
        numbered = [] if wanted.list_of is None else [str(number)]
        others = rest if element is None else rest | {ELEMENT: element}
        other = json.dumps(others, sort_keys=True, ensure_ascii=False) if others else None
        rows.append([*map(as_text, values), *numbered, other])
    return rows


def _escaped(text: str) -> str:
    """Return the start of a text for quarantine, with bytes that are no text escaped."""
    octets = text[:EXCERPT].encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "backslashreplace")[:EXCERPT]


def digits(number: str) -> str:
    """Return a JSON number with an exponent as all its digits, where a double tells them exactly."""
    if "e" not in number.lower():
        return number
    value = Decimal(number)
    if abs(value) <= EXACT_DOUBLE and value == value.to_integral_value():
        return f"{value:f}".partition(".")[0]
    return repr(float(number))


def double_text(value: float) -> str:
    """Return a double as text: whole numbers as all their digits, where a double tells them exactly."""
    return str(int(value)) if value.is_integer() and not is_inexact(value) else repr(value)


def is_inexact(value: Any) -> bool:
    """Return whether a value is a double that stands for several whole numbers, or is infinite."""
    return isinstance(value, float) and abs(value) > EXACT_DOUBLE


def as_text(value: Any) -> str | None:
    """Return a value as text: objects, lists and booleans as JSON, nothing as None."""
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
