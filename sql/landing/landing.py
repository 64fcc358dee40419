"""Raw logs become rows of text with file and line: the first half of ingest, before any typing."""

from __future__ import annotations

import codecs
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sql.errors import EngineError
from sql.source import Reading

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".dat": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
"""The format that each suffix of a file's name stands for."""
COMPRESSED = ".gz"
"""The suffix, behind that of the format, of a file that gzip compressed."""
SUFFIXES = f"{', '.join(FORMATS)} (also {COMPRESSED})"
"""What a file's name may end in, as messages list it."""

FREE = 1 << 25  # bytes that any file may hold, however small it is
GZIP = b"\x1f\x8b"


class SourceError(EngineError):
    """A file of the source cannot be read as configured; the message names it."""


@dataclass(frozen=True)
class RawFile:
    """One file of the source: where it is on this machine and the name that people know it by."""

    file_id: int
    path: Path
    name: str


@dataclass(frozen=True)
class Landed:
    """Rows of text in a relation, all with the same columns.

    `relation` has `file_id` INT, `line` BIGINT (in Parquet the row, counted from 1) and the text
    columns c0, c1... that hold `columns`.
    """

    relation: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Landing:
    """What landing a batch of files gave: relations of rows, and the lines that are no rows.

    `rows` counts, for each file_id, the rows in the relations, and `rejected` those in the relation
    `rejects`, by rule; `rejects` (file_id, line, rule, raw) is None where there are none.
    """

    relations: tuple[Landed, ...]
    rows: dict[int, int]
    rejects: str | None
    rejected: dict[int, dict[str, int]]


def file_format(name: str, reading: Reading) -> str:
    """Return csv, jsonl or parquet: as configured, else by the suffix."""
    if reading.format != "auto":
        return reading.format
    suffix = format_suffix(name)
    if suffix is None:
        raise SourceError(f"{name}: expected {SUFFIXES}, or format = ... in [source]")
    return FORMATS[suffix]


def format_suffix(name: str) -> str | None:
    """Return the suffix of a name that says its format, such as .csv of log.csv.gz; None if none is known."""
    plain = _plain(name).removesuffix(COMPRESSED)
    return next((suffix for suffix in FORMATS if plain.endswith(suffix)), None)


def _plain(name: str) -> str:
    """Return a name in lower case, without what stands behind the `#` of a URL."""
    return (name.partition("#")[0] if "://" in name else name).lower()


def open_text(file: RawFile, reading: Reading) -> IO[bytes]:
    """Open a file of text as bytes of `line_encoding`, decompressed if its name ends in .gz.

    What comes out of a .gz is refused with a SourceError as soon as it is out of all proportion.
    """
    stream: Any = file.path.open("rb")
    if _plain(file.name).endswith(COMPRESSED):
        stream = io.BufferedReader(_Inflated(file.name, stream, reading.max_expansion), 1 << 16)
    elif stream.peek(2).startswith(GZIP):
        stream.close()
        raise SourceError(f"{file.name}: is compressed by gzip; expected a name that ends in {COMPRESSED}")
    if is_ascii_based(reading.encoding):
        return stream  # type: ignore[no-any-return]
    return io.BufferedReader(_Recoded(stream, reading.encoding))


def require_proportion(name: str, held: int, size: int, limit: int) -> None:
    """Raise SourceError if a file of `size` bytes holds more than FREE and `limit` times as many bytes."""
    if held > max(FREE, size * limit):
        raise SourceError(
            f"{name}: {size:,} bytes of it hold more than {held:,}, over {limit} times as many; "
            "if that is no bomb, raise max_expansion"
        )


class _Inflated(io.RawIOBase):
    """The content of a .gz, as long as it is in proportion to what was read of the file."""

    def __init__(self, name: str, stream: IO[bytes], limit: int) -> None:
        super().__init__()
        self._name, self._stream, self._limit = name, stream, limit
        self._content = gzip.GzipFile(fileobj=stream)
        self._held = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill a buffer; returns the bytes that were filled in, 0 at the end."""
        count = self._content.readinto(target)
        self._held += count
        require_proportion(self._name, self._held, self._stream.tell(), self._limit)
        return count

    def close(self) -> None:
        self._content.close()
        self._stream.close()
        super().close()


class _Recoded(io.RawIOBase):
    """A stream of text as UTF-8; bytes that are not in the encoding are a UnicodeDecodeError."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        super().__init__()
        self._stream, self._decoder = stream, codecs.getincrementaldecoder(encoding)()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill a buffer; returns the bytes that were filled in, 0 at the end."""
        chunk = b"more"
        while not self._ready and chunk:
            chunk = self._stream.read(1 << 20)
            self._ready = memoryview(self._decoder.decode(chunk, final=not chunk).encode())
        count = min(len(target), len(self._ready))
        target[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def line_encoding(encoding: str) -> str:
    """Return the encoding of what `open_text` gives: UTF-8 for those whose lines cannot be split as bytes."""
    return encoding if is_ascii_based(encoding) else "utf-8"


def is_ascii_based(encoding: str) -> bool:
    """Whether the bytes of ASCII mean themselves in an encoding, so that lines can be split as bytes.

    In UTF-7, HZ or the ISO 2022 family they do not always: a line end may be written as letters.
    """
    octets = bytes(range(128))
    try:
        return octets.decode(encoding) == octets.decode("ascii")
    except UnicodeError:
        return False


def positional(columns: tuple[str, ...]) -> list[str]:
    """Return c0, c1...: names of text columns that no engine reads in its own way."""
    return [f"c{place}" for place in range(len(columns))]
