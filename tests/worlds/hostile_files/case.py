"""A hostile file and its outcome, and what writes and counts such files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

T = "2026-03-01 10:00:00"
AT = datetime.fromisoformat(T)
HEADER = "user,item,time\n"
COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}
WEIGHED = {"columns": {**COLUMNS, "weight": "weight"}}
SOURCES: dict[str, dict[str, Any]] = {
    "plain": {},
    "int64": {"user_id_type": "int64", **WEIGHED},
    "epoch_s": {"timestamp_format": "epoch_s"},
    "epoch_ms": {"timestamp_format": "epoch_ms"},
    "London": {"time_zone": "Europe/London"},
    "latin-1": {"encoding": "latin-1"},
    "utf-16": {"encoding": "utf-16"},
}
"""Changes to a plain [source], by the name that a case gives."""


@dataclass(frozen=True)
class Case:
    """One file: its content, and its outcome.

    `count` counts its raw rows with another tool than ours. `rules` are the rows that each rule decides
    about; the others are accepted, except `duplicates`. `refused` is in the message of a file that is
    refused as a whole. `kept` are values that the accepted rows must have, in order.
    """

    name: str
    file: str
    data: bytes
    count: Callable[[bytes], int]
    rules: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    source: str = "plain"
    refused: str = ""
    kept: tuple[Any, ...] = ()

    @property
    def quarantined(self) -> int:
        return sum(self.rules.values())

    @property
    def outcome(self) -> str:
        """What docs/input.md says of it."""
        if self.refused:
            return f"refused: {self.refused}"
        outcomes = [f"{rule} {rows}" for rule, rows in self.rules.items()]
        outcomes += [f"duplicates {self.duplicates}"] if self.duplicates else []
        accepted = self.count(self.data) - self.quarantined - self.duplicates
        return ", ".join([f"accepted {accepted}", *outcomes])

    def write(self, folder: Path) -> Path:
        path = folder / self.file
        path.write_bytes(self.data)
        return path


def records(data: bytes, encoding: str = "utf-8-sig") -> int:
    """Count the rows of a CSV file as Python's csv module does."""
    with io.StringIO(data.decode(encoding), newline="") as text:
        return sum(1 for row in csv.reader(text) if row) - 1


def lines(data: bytes) -> int:
    """Count the lines after the header that are not blank: where quotes or bytes make no CSV."""
    return sum(1 for line in data.split(b"\n") if line.strip(b"\r")) - 1


def unzipped(data: bytes) -> int:
    return records(gzip.decompress(data))


def values(data: bytes) -> int:
    """Count the lines of JSON lines that are not blank."""
    return sum(1 for line in data.splitlines() if line.strip())


def parquet_rows(data: bytes) -> int:
    return int(pq.read_metadata(io.BytesIO(data)).num_rows)


def refused(data: bytes) -> int:
    """Count nothing: the file is refused."""
    return 0


def text(*rows: str, header: str = HEADER) -> bytes:
    return (header + "".join(row + "\n" for row in rows)).encode()


def jsonl(*rows: Any) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


def event(user: Any, item: Any = "i", time: Any = T, **more: Any) -> dict[str, Any]:
    return {"user": user, "item": item, "time": time, **more}


def parquet(table: Mapping[str, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), out, **options)
    return out.getvalue()


def events(users: Any, **more: Any) -> dict[str, Any]:
    """Return the columns of a Parquet file with these users."""
    return {"user": users, "item": ["i"] * len(users), "time": [T] * len(users), **more}


def as_text(octets: list[bytes]) -> Any:
    """Return bytes as a column that calls itself text, whatever they are."""
    return pa.Array.from_buffers(
        pa.string(), len(octets), pa.array(octets, pa.binary()).buffers(), null_count=0
    )


def flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def in_london(local: str) -> datetime:
    """Return a local time in UTC, as Python understands it."""
    there = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/London"), fold=0)
    return there.astimezone(UTC).replace(tzinfo=None)


HOURS = tuple(
    f"2026-{day} 0{hour}:{at}:00" for day in ("03-29", "10-25") for hour in (0, 1, 2) for at in (15, 45)
)
BIG = 2**53 + 1
