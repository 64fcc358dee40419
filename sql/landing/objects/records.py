"""Records of Python values (Avro, ORC) to rows of text, by the rules of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sql.errors import SourceError
from sql.landing.compression import require_proportion
from sql.landing.landing import RawFile, Wanted
from sql.landing.text_rows import (
    BATCH,
    EXCERPT,
    LONGEST_LINE,
    Reject,
    Rows,
    double_text,
    is_inexact,
    json_values,
)

HELD = 1 << 24  # characters of rows in a batch
Batch = tuple[list[int], list[list[str | None]], list[Reject]]


@dataclass(frozen=True)
class Records:
    """An opened file: the names in its schema, and its records in order."""

    names: tuple[str, ...]
    rows: Iterator[Mapping[str, Any]]


@contextmanager
def reading(file: RawFile, kind: str, damage: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what a library raises for a damaged file into a SourceError that names the `kind` of file."""
    try:
        yield
    except SourceError:
        raise
    except damage as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise SourceError(f"{file.name}: not a readable {kind} file: {reason}") from None


def record_batches(
    file: RawFile, records: Iterable[Mapping[str, Any]], wanted: Wanted, limit: int
) -> Iterator[Batch]:
    """Yield line numbers, values and rejects of a file's records; their line is their number, from 1.

    SourceError if they take more than `limit` times the bytes of the file.
    """
    batch: Batch = ([], [], [])
    held = total = 0
    size = file.path.stat().st_size
    for number, record in enumerate(records, start=1):
        row, taken = _row(record, wanted)
        if isinstance(row, list):
            batch[0].extend([number] * len(row))
            batch[1].extend(row)
        else:
            batch[2].append(Reject(number, *row))
        held, total = held + taken, total + taken
        require_proportion(file.name, total, size, limit)
        if held > HELD or len(batch[0]) + len(batch[2]) >= BATCH:
            yield batch
            batch, held = ([], [], []), 0
    yield batch


def _row(record: Mapping[str, Any], wanted: Wanted) -> tuple[Rows | tuple[str, str], int]:
    """Return the rows of a record, or the rule it breaks and an excerpt; and its size."""
    for name in wanted.ids:
        value = record.get(name)
        if is_inexact(value):
            return ("inexact_id", str(value)), len(record)
    try:
        content = plain(record)
    except UnicodeDecodeError:
        return ("bad_encoding", _excerpt(record)), len(record)
    rows = json_values(content, "", wanted)
    if not isinstance(rows, list):
        return (rows[0], _excerpt(record)), len(record)
    size = sum(len(value) for row in rows for value in row if value)
    if size > LONGEST_LINE * len(rows):
        return ("line_too_long", _excerpt(record)), size
    return rows, size + len(record)


def _excerpt(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, default=str)[:EXCERPT].encode("utf-8", "replace").decode()


def plain(value: Any) -> Any:
    """Return a value as decoded JSON whose numbers are text: lists, objects, truth values and text.

    Whole doubles have all their digits, times are ISO 8601, and bytes are text; UnicodeDecodeError
    for others.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return _text(value)


def _text(value: Any) -> str:
    match value:
        case float():
            return double_text(value)
        case bytes():
            return value.decode()
        case Decimal():
            return f"{value:f}"
        case datetime() | date() | time():
            return value.isoformat()
    return str(value)
