"""Raw logs become rows of text with file and line: the first half of ingest, before any typing."""

from __future__ import annotations

import codecs
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sql.engine import EngineError
from sql.layout import Reading

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
    """What landing a batch of files gave: relations of rows, and the rows that could not be split into columns.

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
    plain = name.lower().removesuffix(".gz")
    for suffix, found in FORMATS.items():
        if plain.endswith(suffix):
            return found
    raise SourceError(f"{name}: expected .csv, .jsonl or .parquet (also .gz), or format = ... in [source]")


def open_text(file: RawFile, encoding: str) -> IO[bytes]:
    """Open a file of text as bytes of `line_encoding(encoding)`, decompressed if its name ends in .gz."""
    compressed = file.name.lower().endswith(".gz")
    stream: Any = gzip.open(file.path, "rb") if compressed else file.path.open("rb")
    return stream if is_ascii_based(encoding) else codecs.EncodedFile(stream, "utf-8", encoding)


def line_encoding(encoding: str) -> str:
    """Return the encoding of what `open_text` gives: UTF-8 for those whose lines cannot be split as bytes."""
    return encoding if is_ascii_based(encoding) else "utf-8"


def is_ascii_based(encoding: str) -> bool:
    """Whether the bytes of ASCII mean themselves in an encoding, so that lines can be split as bytes."""
    return '\r\n",'.encode(encoding) == b'\r\n",'


def positional(columns: tuple[str, ...]) -> list[str]:
    """Return c0, c1...: names of text columns that no engine reads in its own way."""
    return [f"c{place}" for place in range(len(columns))]
