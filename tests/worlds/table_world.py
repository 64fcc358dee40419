"""Rows for tables of Delta and Iceberg, and what a source finds in their folders."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sql.source import Source
from tasks.sources.discovery import Discovered, discover

AS_OF = date(2026, 3, 10)
COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}


def rows(*users: str, day: str = "2026-03-01") -> pa.Table:
    return pa.table(
        {
            "user": list(users),
            "item": [f"i{user}" for user in users],
            "time": [f"{day} 10:00:00"] * len(users),
            "country": ["FR" if user < "n" else "D/É %" for user in users],
        }
    )


def found(path: object, **keys: object) -> Discovered:
    source = {"path": str(path), "columns": COLUMNS, "settle_seconds": 0, **keys}
    return discover(Source.model_validate(source), AS_OF)


def users(discovered: Discovered) -> list[str]:
    return sorted(
        user
        for file in discovered.files
        for user in pq.ParquetFile(file.address).read(["user"])["user"].to_pylist()
    )


def reasons(discovered: Discovered) -> dict[str, int]:
    return {part.reason: part.files for part in discovered.left_out}


def write_log(folder: Path, log: str) -> Path:
    """Write a folder with a file and what marks it as a table; return the folder."""
    for name in (log, "data/part-0.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder
