"""Raw logs to rows of text with file and line: the first half of an ingest, before typing."""

from __future__ import annotations

import codecs
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sql.errors import SourceError
from sql.landing.compression import (
    OPENERS,
    Inflated,
    compression,
    hidden_compression,
)
from sql.reading import Reading

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".dat": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".avro": "avro",
    ".orc": "orc",
    ".xlsx": "sheets",
    ".xlsm": "sheets",
    ".xlsb": "sheets",
    ".xls": "sheets",
    ".ods": "sheets",
}
"""The format of each file name suffix."""
TEXTS = ("csv", "jsonl")
"""The formats of text, which may be compressed as a whole; others compress what they hold."""
SUFFIXES = f"{', '.join(FORMATS)} (text also {', '.join(OPENERS)})"
"""The known suffixes, as messages list them."""


@dataclass(frozen=True)
class FieldNames:
    """The names of a table's columns, where its files may have other ones.

    `by_id` has all fields, also those inside of objects, by their number; `aliases` has the columns
    by each name that files without such numbers may have for them.
    """

    by_id: Mapping[int, str]
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RawFile:
    """One source file: its path on this machine and the name that messages use.

    `partitions` are the columns that its folders or its table's log tell (country=FR), by name;
    `field_names` are the table's names of its columns. Of a file that grows, the bytes from `begin`
    to `end` are read, and `first_line` is the number of the line at `begin`.
    """

    file_id: int
    path: Path
    name: str
    partitions: Mapping[str, str | None] = field(default_factory=dict)
    field_names: FieldNames | None = None
    begin: int = 0
    end: int | None = None
    first_line: int = 1


@dataclass(frozen=True)
class Wanted:
    """The columns to read of a file.

    A file may lack the `optional` ones. Those in `scalars` hold one value a row, not a list or an
    object; those in `ids` hold ids, those in `times` the time. `list_of` is the path of the list
    whose elements are rows each; `split` is a column with several values, and what separates them:
    each value is a row.
    """

    columns: tuple[str, ...]
    optional: frozenset[str] = frozenset()
    scalars: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    times: tuple[str, ...] = ()
    list_of: str | None = None
    split: tuple[str, str] | None = None


@dataclass(frozen=True)
class LandedRows:
    """A relation of text rows that share the same columns.

    `relation` has `file_id` INT, `line` BIGINT (in files that are not text, the number of the row)
    and the text columns c0, c1..., which hold `columns`.
    """

    relation: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Landing:
    """The result of landing a batch of files: relations of rows, and the rejected lines.

    `rows` counts the rows in the relations by file_id; `rejected` counts the rejected lines by
    file_id and rule. `rejects` names the relation (file_id, line, rule, raw) of rejected lines,
    None without any. `absent` are the optional columns that a file lacks, by file_id.
    """

    relations: tuple[LandedRows, ...]
    rows: dict[int, int]
    rejects: str | None
    rejected: dict[int, dict[str, int]]
    absent: dict[int, tuple[str, ...]] = field(default_factory=dict)


def file_format(name: str, reading: Reading) -> str:
    """Return the format of a file: the configured one, or the one that its suffix names."""
    if reading.format != "auto":
        return reading.format
    suffix = format_suffix(name)
    if suffix is None:
        raise SourceError(f"{name}: expected {SUFFIXES}, or format = ... in [source]")
    return FORMATS[suffix]


def format_suffix(name: str) -> str | None:
    """Return the suffix that names a file's format (.csv for log.csv.gz); None if unknown."""
    plain = _plain(name)
    packed = compression(plain) or ""
    found = next((suffix for suffix in FORMATS if plain.removesuffix(packed).endswith(suffix)), None)
    return None if packed and found and FORMATS[found] not in TEXTS else found


def _plain(name: str) -> str:
    """Return a name in lower case, without the fragment (#...) of a URL."""
    return (name.partition("#")[0] if "://" in name else name).lower()


def open_text(file: RawFile, reading: Reading) -> IO[bytes]:
    """Open a text file as bytes in `line_encoding`; one named as compressed is decompressed.

    Reading raises a SourceError as soon as it is damaged or has expanded out of proportion. Of a
    file that grows, the stream has all up to `end`; seek to `begin`.
    """
    stream: Any = file.path.open("rb")
    if file.end is not None:
        return io.BufferedReader(_Span(stream, file.end))
    if suffix := compression(_plain(file.name)):
        stream = io.BufferedReader(Inflated(file.name, suffix, stream, reading.max_expansion), 1 << 16)
    elif hidden := hidden_compression(stream.peek(8)):
        stream.close()
        raise SourceError(f"{file.name}: is compressed ({hidden}); expected a name that ends in {hidden}")
    if is_ascii_based(reading.encoding):
        return stream  # type: ignore[no-any-return]
    return io.BufferedReader(_Recoded(stream, reading.encoding))


def grows(name: str, reading: Reading) -> bool:
    """Return whether lines can be appended to a file of this name: text that is not compressed."""
    suffix = format_suffix(name) or ""
    form = FORMATS.get(suffix) if reading.format == "auto" else reading.format
    return form in TEXTS and compression(_plain(name)) is None and is_ascii_based(reading.encoding)


class _Span(io.RawIOBase):
    """A file up to some of its bytes."""

    def __init__(self, stream: IO[bytes], end: int) -> None:
        super().__init__()
        self._stream, self._end = stream, end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, target: Any) -> int:
        """Fill a buffer and return the number of bytes written, 0 at the end."""
        data = self._stream.read(max(0, min(len(target), self._end - self._stream.tell())))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Recoded(io.RawIOBase):
    """A text stream as UTF-8; bytes invalid in its encoding raise UnicodeDecodeError."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        super().__init__()
        self._stream, self._decoder = stream, codecs.getincrementaldecoder(encoding)()
        self._decoded = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Fill a buffer and return the number of bytes written, 0 at the end."""
        chunk = b"more"
        while not self._decoded and chunk:
            chunk = self._stream.read(1 << 20)
            self._decoded = memoryview(self._decoder.decode(chunk, final=not chunk).encode())
        count = min(len(target), len(self._decoded))
        target[:count], self._decoded = self._decoded[:count], self._decoded[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def line_encoding(encoding: str) -> str:
    """Return the encoding of `open_text`: UTF-8 if lines of `encoding` cannot be split as bytes."""
    return encoding if is_ascii_based(encoding) else "utf-8"


def is_ascii_based(encoding: str) -> bool:
    """Tell whether ASCII bytes always mean ASCII in an encoding, so lines can be split as bytes.

    In UTF-7, HZ and the ISO 2022 family they do not: a line end can be encoded as letters.
    """
    octets = bytes(range(128))
    try:
        return octets.decode(encoding) == octets.decode("ascii")
    except UnicodeError:
        return False


def positional(columns: tuple[str, ...]) -> list[str]:
    """Return c0, c1...: column names that every engine reads alike."""
    return [f"c{index}" for index in range(len(columns))]
