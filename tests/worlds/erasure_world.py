"""A shop with a user to forget, named wherever a log can, and a search for traces."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from worlds.night_world import TEXT, Night, shop, write_logs

USER = "zq-canary-7f3a91"
LOGS = ("events-*.csv", "users.csv")
SEGMENT = "VA"  # a country of one user

DAYS = {
    "2026-03-02": (
        "{day}T10:00:00.000Z,{user},i00001,view,s-canary,1.00,,",
        "{day}T10:00:00.000Z,{user},i00001,view,s-canary,1.00,,",  # a duplicate
        "{day}T10:05:00.000Z,{user},i00002,purchase,s-canary,1.00,1,",
        "no timestamp,{user},i00003,view,s-canary,1.00,,",  # quarantined
        "{day}T10:07:00.000Z,{user},i00003,view",  # ragged: not a row
        "{day}T10:08:00.000Z,{user},i00003,teleport,s-canary,1.00,,",  # of unknown type
        "no timestamp,u000002,i00003,view,s-other,1.00,,{user}",  # another user's row that names the user
    ),
    "2026-03-03": (
        "{day}T11:00:00.000Z,{user},i00004,cart,s-canary2,1.00,,",
        "2026-03-02T10:05:00.000Z,{user},i00002,purchase,s-canary,1.00,1,",  # delivered again
    ),
    "2026-03-04": (
        "{day}T12:00:00.000Z,{user},i00005,view,s-canary3,1.00,,",
        "{day}T12:00:00.000Z,{user},i00006,view,s-canary3,1.00,,",
        "no timestamp,{user},i00006,view,s-canary3,1.00,,",
        "{day}T12:01:00.000Z,{user}",
        "no timestamp,u000002,i00003,view,s-other,1.00,,{user}",
    ),
}


def plant(logs: Path, user: str = USER) -> Path:
    """Write a small shop's logs that name a user in every way."""
    write_logs(logs)
    for day, lines in DAYS.items():
        path = logs / f"events-{day}.csv"
        added = "".join(line.format(day=day, user=user) + "\n" for line in lines)
        path.write_text(path.read_text() + added)
    with (logs / "users.csv").open("a") as file:
        file.write(f"{user},{SEGMENT},25-34,2024-01-01\n")
    return logs


def without(logs: Path, folder: Path, user: str = USER) -> Path:
    """Write the same logs without the user; lines of other users stay, without the name."""
    shutil.copytree(logs, folder)
    for path in [path for pattern in LOGS for path in folder.glob(pattern)]:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if f",{user}," not in line and user not in line[:40]))
    return folder


def opened(folder: Path, logs: Path, **changes: str) -> Night:
    """Return a shop whose configuration has reports and evaluation; `changes` replace its texts."""
    text = TEXT.replace("enabled = false", "enabled = true\nsample_users = 50")
    for old, new in changes.items():
        text = text.replace(old, new)
    return shop(folder, logs, text)


def traces(root: Path, user: str = USER) -> list[str]:
    """Return where a store still has an id: names, bytes, and Parquet and DuckDB values."""
    needle = user.encode()
    traces_left = []
    for path in sorted(root.rglob("*")):
        if user in path.name:
            traces_left.append(f"{path}: name")
        if path.is_file():
            if needle in path.read_bytes():
                traces_left.append(f"{path}: bytes")
            traces_left += [f"{path}: {where}" for where, text in unpacked(path) if user in text]
    return traces_left


def unpacked(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the location and content of all text in a Parquet or DuckDB file."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            yield "metadata", f"{file.metadata} {file.schema_arrow}"
            table = file.read()
        for name in table.column_names:
            column = table[name]
            values = column if pa.types.is_nested(column.type) else column.unique()  # lists have none
            yield name, " ".join(map(str, values.to_pylist()))
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            tables = con.sql("SELECT table_name FROM duckdb_tables()").fetchall()
            for (table,) in tables:
                yield table, str(con.sql(f"FROM {table}").fetchall())
