"""Lines of text: read whole, and what is wrong with those that are no text; JSON lines to rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

LONGEST_LINE = 1 << 20  # bytes; a longer one is quarantined without being held in memory
BATCH = 1 << 16  # rows
SHOWN = 2000  # characters of a line that is quarantined
CHUNK = 1 << 18  # bytes read at once
MOST_LINES = 1 << 17  # of a block: what is kept of each line counts, not only its bytes


@dataclass(frozen=True)
class Reject:
    """A line that is no row: its number, the rule that it breaks and its text."""

    line: int
    rule: str
    raw: str


def read_lines(stream: IO[bytes], size: int) -> bytes:
    r"""Return about `size` bytes of whole lines, ended by \n; of a line that is too long, its beginning.

    Of very short lines there are fewer bytes: about MOST_LINES lines, and never more than that and CHUNK.
    """
    pieces: list[bytes] = []
    missing, lines = size, 0
    while missing > 0 and lines < MOST_LINES and (piece := stream.read(min(missing, CHUNK))):
        pieces.append(piece)
        missing -= len(piece)
        lines += piece.count(b"\n")
    data = b"".join(pieces)
    while data and not data.endswith(b"\n"):
        rest = stream.readline(LONGEST_LINE + 1)
        if len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            while (skipped := stream.readline(LONGEST_LINE)) and not skipped.endswith(b"\n"):
                pass
        data += rest if rest.endswith(b"\n") else rest + b"\n"
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


def text_of(line: bytes, encoding: str = "utf-8") -> str | tuple[str, str]:
    """Return the text of a line without its end, or the rule that it breaks and what can be shown of it."""
    plain = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(plain) > LONGEST_LINE:
        return "line_too_long", shown(plain)
    if b"\0" in plain:
        return "nul_byte", shown(plain)
    try:
        return plain.decode(encoding)
    except UnicodeDecodeError:
        return "bad_encoding", shown(plain)


def shown(line: bytes) -> str:
    """Return what quarantine shows of a line that is no text."""
    return line[: SHOWN * 4].decode("utf-8", "backslashreplace")[:SHOWN]


def printable(text: str) -> str:
    """Return a text for a message: what no one can see of it, line ends too, is spelled as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def json_batches(
    stream: IO[bytes], encoding: str, mapped: Sequence[str]
) -> Iterator[tuple[list[int], list[list[str | None]], list[Reject]]]:
    """Yield line numbers, values and rejects of JSON lines; numbers keep their text: no id is rounded.

    The values of a row are those of the `mapped` keys and, last, all other keys as one JSON object.
    """
    number = 0
    while data := read_lines(stream, BATCH * 64):
        lines: list[int] = []
        rows: list[list[str | None]] = []
        rejects: list[Reject] = []
        for raw in data.split(b"\n")[:-1]:
            number += 1
            if not raw:
                continue
            row = _json_row(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, encoding, mapped)
            if isinstance(row, list):
                lines.append(number)
                rows.append(row)
            elif row is not None:
                rejects.append(Reject(number, *row))
        yield lines, rows, rejects


def _json_row(line: bytes, encoding: str, mapped: Sequence[str]) -> list[str | None] | tuple[str, str] | None:
    text = text_of(line, encoding)
    if isinstance(text, tuple):
        return text
    if not text.strip(" \t"):
        return None
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        if not isinstance(found, dict):
            return "malformed_json", text[:SHOWN]
        values = [as_text(found.pop(column, None)) for column in mapped]
        values.append(json.dumps(found, sort_keys=True, ensure_ascii=False) if found else None)
        joined = "".join(value for value in values if value)
        joined.encode()
    except UnicodeEncodeError:  # an escape such as \ud800, which is half a character
        return "bad_encoding", text[:SHOWN]
    except (ValueError, RecursionError):
        return "malformed_json", text[:SHOWN]
    return ("nul_byte", text[:SHOWN]) if "\0" in joined else values


def as_text(value: Any) -> str | None:
    """Return a value as text: what is nested, true or false as JSON, nothing as None."""
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
