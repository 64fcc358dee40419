"""A shop with one user to forget, planted wherever a log can name them; and the search for what is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
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
        "{day}T10:07:00.000Z,{user},i00003,view",  # ragged: no row
        "{day}T10:08:00.000Z,{user},i00003,teleport,s-canary,1.00,,",  # of unknown type
        "no timestamp,u000002,i00003,view,s-other,1.00,,{user}",  # somebody else's, that names them
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
    """Write the same logs as if the user had never been there; lines that others wrote stay, for others."""
    shutil.copytree(logs, folder)
    for path in [path for pattern in LOGS for path in folder.glob(pattern)]:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if f",{user}," not in line and user not in line[:40]))
    return folder


def opened(folder: Path, logs: Path, **changes: str) -> Night:
    """Return a shop whose configuration keeps reports and measures; `changes` replace texts of it."""
    text = TEXT.replace("enabled = false", "enabled = true\nsample_users = 50")
    for old, new in changes.items():
        text = text.replace(old, new)
    return shop(folder, logs, text)


def traces(root: Path, user: str = USER) -> list[str]:
    """Return where in a store an id is left: in names, in bytes, and in what Parquet and DuckDB unpack."""
    needle = user.encode()
    found = []
    for path in sorted(root.rglob("*")):
        if user in path.name:
            found.append(f"{path}: name")
        if path.is_file():
            if needle in path.read_bytes():
                found.append(f"{path}: bytes")
            found += [f"{path}: {where}" for where, text in unpacked(path) if user in text]
    return found


def unpacked(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where and what of all text in a Parquet or DuckDB file."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            yield "metadata", f"{file.metadata} {file.schema_arrow}"
            table = file.read()
        for name in table.column_names:
            yield name, " ".join(map(str, table[name].unique().to_pylist()))
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as con:
            tables = con.sql("SELECT table_name FROM duckdb_tables()").fetchall()
            for (table,) in tables:
                yield table, str(con.sql(f"FROM {table}").fetchall())
