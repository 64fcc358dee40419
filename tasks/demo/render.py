"""Rows of the demo logs as CSV lines, JSON lines or an Arrow table, by whole columns."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.demo.catalogue import Texts
from tasks.demo.dirt import CODES, EVENT_NAMES, has_odd_time, ragged_line, times
from tasks.demo.events import DAY_MS, EPOCH, Rows
from tasks.demo.world import World

COLUMNS = (
    "event_time",
    "user_id",
    "item_id",
    "event_type",
    "session_id",
    "price",
    "quantity",
    "search_query",
)
SCHEMA = pa.schema(
    [(name, {"price": pa.float64(), "quantity": pa.int64()}.get(name, pa.string())) for name in COLUMNS]
)


def columns(world: World, texts: Texts, day: int, rows: Rows) -> list[Any]:
    """Return all columns but the last as pyarrow strings, with null for a missing value."""
    event_time = _event_time(rows["time"])
    odd = has_odd_time(rows)
    if odd.any():
        event_time = pc.replace_with_mask(event_time, pa.array(odd), pa.array(times(rows[odd]), pa.string()))
    item = pa.array(rows["item"], mask=rows["item"] < 0)
    return [
        event_time,
        texts.user_ids.take(pa.array(rows["user"], mask=rows["user"] < 0)),
        texts.item_ids.take(item),
        pa.array(EVENT_NAMES).take(pa.array(rows["event"])),
        _session_id(world, day, rows["session"]),
        texts.prices.take(item),
        pa.array([None, *map(str, range(1, 10))]).take(pa.array(rows["quantity"])),
    ]


def csv_lines(columns: list[Any], rows: Rows, queries: Any) -> Any:
    """Join columns and encoded queries to lines with line ends; flawed lines are ragged."""
    query = queries.take(pa.array(rows["query"]))  # ends its line
    lines = pc.binary_join_element_wise(*columns, query, ",", null_handling="replace", null_replacement="")
    return _ragged(lines, rows, "csv")


def json_lines(columns: list[Any], rows: Rows, queries: Any) -> Any:
    """Join columns and encoded queries to a JSON object per line; flawed lines are cut short."""
    values = [pc.binary_join_element_wise('"', column, '"', "") for column in columns[:5]]
    number = pa.array(rows["flaw"] == CODES["epoch_timestamp"])
    values[0] = pc.if_else(number, columns[0], values[0])
    values += [*columns[5:], queries.take(pa.array(rows["query"]))]
    pieces: list[Any] = []
    for name, value in zip(COLUMNS, values, strict=True):
        pieces += [f'{"," if pieces else "{"}"{name}":', value]
    lines = pc.binary_join_element_wise(*pieces, "}\n", "", null_handling="replace", null_replacement="null")
    return _ragged(lines, rows, "json")


def table(columns: list[Any], rows: Rows, queries: Any) -> Any:
    """Return columns and plain queries as a table of SCHEMA; event_time is text, as it has dirt."""
    strings = [*columns, queries.take(pa.array(rows["query"]))]
    arrays = [column.cast(field.type) for column, field in zip(strings, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _ragged(lines: Any, rows: Rows, form: str) -> Any:
    mask = pa.array(rows["flaw"] == CODES["ragged"])
    spoilt = [ragged_line(line, form) for line in lines.filter(mask).to_pylist()]
    return pc.replace_with_mask(lines, mask, pa.array(spoilt, pa.string())) if spoilt else lines


def _event_time(milliseconds: Any) -> Any:
    """Return int64 milliseconds since 1970 as texts `2026-01-05T10:00:00.000Z`, by table lookup."""
    day, rest = np.divmod(milliseconds, DAY_MS)
    second, milli = np.divmod(rest, 1000)
    first = int(day.min()) if len(day) else 0
    known = [date.fromordinal(EPOCH + first + index).isoformat() for index in range(int(np.ptp(day)) + 1)]
    text = np.empty(
        len(day), dtype=[("day", "S10"), ("T", "S1"), ("clock", "S9"), ("milli", "S3"), ("Z", "S1")]
    )
    text["day"], text["T"], text["Z"] = np.array(known, dtype="S10")[day - first], b"T", b"Z"
    text["clock"], text["milli"] = _clock()[second], _thousand()[milli]
    return _fixed(text)


def _session_id(world: World, day: int, number: Any) -> Any:
    """Return session numbers as texts `s20260105-000000123`."""
    text = np.empty(len(number), dtype=[("day", "S10"), ("a", "S3"), ("b", "S3"), ("c", "S3")])
    text["day"] = f"s{world.start + timedelta(days=day):%Y%m%d}-".encode()
    upper, text["c"] = number // 1000, _thousand()[number % 1000]
    text["a"], text["b"] = _thousand()[upper // 1000], _thousand()[upper % 1000]
    return _fixed(text)


def _fixed(text: Any) -> Any:
    width = text.dtype.itemsize
    offsets = np.arange(len(text) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


@cache
def _thousand() -> Any:
    return np.array([f"{number:03d}" for number in range(1000)], dtype="S3")


@cache
def _clock() -> Any:
    seconds = range(86_400)
    return np.array([f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}." for s in seconds], dtype="S9")
