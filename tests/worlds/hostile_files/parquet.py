"""Parquet files."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from sql.landing.landing import SUFFIXES
from worlds.hostile_files.case import (
    AT,
    BIG,
    Case,
    T,
    as_text,
    events,
    flipped,
    parquet,
    parquet_rows,
    refused,
    text,
)

CHECKED = parquet(events([f"pq{n}" for n in range(500)]), write_page_checksum=True, compression="none")
PARQUET = [
    Case("ids as int64", "ints.parquet", parquet(events([BIG, 7])), parquet_rows, kept=(str(BIG), "7")),
    Case(
        "ids as text",
        "texts.parquet",
        parquet(events(["t007", "\U0001f600t"])),
        parquet_rows,
        kept=("t007", "\U0001f600t"),
    ),
    Case(
        "ids as doubles",
        "doubles.parquet",
        parquet(events([17850.0, 17850.5, None])),
        parquet_rows,
        {"user_missing": 1},
        kept=("17850", "17850.5"),
    ),
    Case(
        "text ids as bytes",
        "bytes.parquet",
        parquet(events([b"42", "漢".encode(), b"\xff"])),
        parquet_rows,
        {"bad_encoding": 1},
        kept=("42", "漢"),
    ),
    Case(
        "ids as bytes of a fixed size",
        "fixed.parquet",
        parquet(events([b"\x00\xff"]) | {"user": pa.array([b"\x00\xff"], pa.binary(2))}),
        parquet_rows,
        kept=("00ff",),
    ),
    Case(
        "large ids as doubles",
        "large.parquet",
        parquet(events([1e14, 123456789012345.0, 2.0**53, 2.0**53 + 2, float("inf")])),
        parquet_rows,
        {"inexact_id": 2},
        kept=("100000000000000", "123456789012345", "9007199254740992"),
    ),
    Case(
        "a list as item",
        "list.parquet",
        parquet(events(["pl"]) | {"item": pa.array([["a", "b"]])}),
        parquet_rows,
        refused="expected one value a row in column 'item', got list<",
    ),
    Case(
        "times with a zone",
        "zone.parquet",
        parquet(events(["pz"]) | {"time": pa.array([AT], pa.timestamp("ns", "America/New_York"))}),
        parquet_rows,
        kept=("pz",),
    ),
    Case(
        "times as dates",
        "dates.parquet",
        parquet(events(["pd"]) | {"time": [date(2026, 3, 1)]}),
        parquet_rows,
        kept=("pd",),
    ),
    Case(
        "nested columns",
        "nested.parquet",
        parquet(events(["pn"], tags=[[{"a": [1]}]])),
        parquet_rows,
        kept=("pn",),
    ),
    Case(
        "Parquet text that is not UTF-8",
        "utf8.parquet",
        parquet(events(as_text([b"pu1", b"\xff"]))),
        parquet_rows,
        {"bad_encoding": 1},
        kept=("pu1",),
    ),
    Case(
        "Parquet text with NUL",
        "nul.parquet",
        parquet(events(["pnul", "a\0b"])),
        parquet_rows,
        {"nul_byte": 1},
        kept=("pnul",),
    ),
    Case(
        "value of more than 1 MiB",
        "long.parquet",
        parquet(events(["pl", "x" * ((1 << 20) + 1)])),
        parquet_rows,
        {"line_too_long": 1},
        kept=("pl",),
    ),
    Case(
        "Parquet without rows",
        "norows.parquet",
        parquet(pa.table({name: pa.array([], pa.string()) for name in ("user", "item", "time")})),
        parquet_rows,
    ),
    Case(
        "Parquet cut in the middle",
        "cut.parquet",
        CHECKED[: len(CHECKED) // 2],
        refused,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet without its last bytes",
        "tail.parquet",
        CHECKED[:-5],
        refused,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet with a flipped bit",
        "bit.parquet",
        flipped(CHECKED, 1500),
        refused,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet with a flipped bit in its footer",
        "foot.parquet",
        flipped(CHECKED, len(CHECKED) - 8),
        refused,
        refused="not a readable Parquet file",
    ),
    Case(
        "Parquet column named twice",
        "twice.parquet",
        parquet(pa.table([["u"], ["i"], ["t"], ["v"]], names=["user", "item", "time", "user"])),
        refused,
        refused="expected column 'user' once, got it 2 times",
    ),
    Case(
        "text named .parquet",
        "text.parquet",
        text(f"u,i,{T}"),
        refused,
        refused="not a readable Parquet file",
    ),
    Case(
        "another format",
        "log.xyz",
        b"PK",
        refused,
        refused=f"expected {SUFFIXES}",
    ),
]
