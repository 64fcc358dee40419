"""Raw logs become rows of text with file and line: the first half of ingest, before any typing.

Every file is first scanned byte by byte (hash, lines, what is odd about it). The reader in
`careful.py` can read anything and knows the line of every row; DuckDB's is faster, and is trusted with a file
only where its rows agree with the lines of the scan.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sql.engine import EngineError
from sql.layout import Reading

CHUNK = 1 << 20


class SourceError(EngineError):
    """A file of the source cannot be read as configured; the message names it."""


@dataclass(frozen=True)
class RawFile:
    """One file of the source: where it is on this machine and the name that people know it by."""

    file_id: int
    path: Path
    name: str


@dataclass(frozen=True)
class Scan:
    """What one pass over a file's bytes found.

    Attributes
    ----------
    sha256
        Of the bytes as they lie on disk (compressed, where they are).
    size
        Bytes on disk.
    lines
        Lines of the (decompressed) text, the last counted even without its line end.
    newline
        The line end, where all lines have the same; None where they are mixed.
    odd
        Whether there is a NUL, a byte order mark or bytes that are not UTF-8.
    """

    sha256: str
    size: int
    lines: int
    newline: str | None
    odd: bool


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
    """What landing a batch of files gave: relations of rows, and the rows that could not be split into columns.

    `rows` counts, for each file_id, the rows in the relations; `rejects` holds Parquet files with
    columns file_id, line, rule and raw.
    """

    relations: tuple[Landed, ...]
    rows: dict[int, int]
    rejects: tuple[Path, ...]
    rejected: dict[int, dict[str, int]]


def file_format(name: str, reading: Reading) -> str:
    """Return csv, jsonl or parquet: as configured, else by the suffix."""
    if reading.format != "auto":
        return reading.format
    plain = name.lower().removesuffix(".gz")
    for suffix, found in {
        ".csv": "csv", ".tsv": "csv", ".dat": "csv", ".txt": "csv",
        ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet",
    }.items():  # fmt: skip
        if plain.endswith(suffix):
            return found
    raise SourceError(f"{name}: expected .csv, .jsonl or .parquet (also .gz), or format = ... in [source]")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def scan(file: RawFile, text: bool) -> Scan:
    """Read a file once from its first byte to its last.

    Parameters
    ----------
    file
        The file.
    text
        Whether it is lines of text; a Parquet file is only hashed.

    Raises
    ------
    SourceError
        If the file is empty, missing, or a truncated or corrupt .gz.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with file.path.open("rb") as raw:
            while chunk := raw.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
        if size == 0:
            raise SourceError(f"{file.name}: the file is empty (0 bytes); expected rows")
        lines, newline, odd = _scan_text(file.path) if text else (0, None, False)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(
            f"{file.name}: the .gz is truncated or corrupt ({error}); deliver it again"
        ) from None
    except OSError as error:
        raise SourceError(f"{file.name}: cannot be read: {error.strerror or error}") from None
    return Scan(digest.hexdigest(), size, lines, newline, odd)


def _scan_text(path: Path) -> tuple[int, str | None, bool]:
    feeds = returns = pairs = 0
    odd, last = False, b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_bytes(path) as stream:
        while chunk := stream.read(CHUNK):
            odd = odd or (not last and chunk.startswith(codecs.BOM_UTF8)) or b"\0" in chunk
            odd = odd or not _decodes(decoder, chunk)
            feeds += chunk.count(b"\n")
            if b"\r" in chunk or last == b"\r":
                returns += chunk.count(b"\r")
                pairs += (last[-1:] + chunk).count(b"\r\n")
            last = chunk[-1:]
    newline = "\n" if returns == 0 else "\r\n" if returns == pairs == feeds else None
    return feeds + (last not in (b"\n", b"")), newline, odd


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes) -> bool:
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True
