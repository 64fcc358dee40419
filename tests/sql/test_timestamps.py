"""Timestamps: one grammar and one meaning of each local time, on both engines as in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.source import Source

ZONES = (
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # 30 minutes of summer time
    "Antarctica/Troll",  # 2 hours
    "Pacific/Apia",
    "Europe/Dublin",
)
DAYS = ((3, 9), (3, 30), (4, 6), (10, 5), (10, 26), (11, 2))
SWITCHES = [datetime(2025, month, day) for month, day in DAYS]  # noqa: DTZ001
LOCAL = sorted(day + timedelta(minutes=15 * quarter) for day in SWITCHES for quarter in range(20))

ISO = {
    "2026-01-05": "2026-01-05 00:00:00",
    "2026-01-05 10:00": "2026-01-05 10:00:00",
    "2026-01-05T10:00:01": "2026-01-05 10:00:01",
    "2026-01-05T10:00:00Z": "2026-01-05 10:00:00",
    "2026-01-05T10:00:00+02:00": "2026-01-05 08:00:00",
    "2026-01-05 10:00:00-0530": "2026-01-05 15:30:00",
    "2026-01-05 10:00:00+02": "2026-01-05 08:00:00",
    "2026-01-05T10:00:00.123456789Z": "2026-01-05 10:00:00.123456",
    "2026-01-05T10:00:00.9999999": "2026-01-05 10:00:00.999999",
    "0001-01-01": "0001-01-01 00:00:00",
    "9999-12-31 23:59:59": "9999-12-31 23:59:59",
    **dict.fromkeys(
        (
            "2026-1-5",
            "2026-02-29",
            "2026-13-01",
            "0000-01-01",
            "2026-01-05 ",
            " 2026-01-05",
            "2026-01-05 10",
            "2026-01-05T10:00Z",
            "2026-01-05 24:00:00",
            "2026-01-05 23:59:60",
            "2026-01-05 10:00:00 +0200",
            "2026-01-05 10:00:00+25:00",
            "2026-01-05 10:00:00 UTC",
            "2026-01-05 10:00:00 EST",
            "2026-01-05 10:00:00 America/New_York",
            "2026-01-05 10:00:00,5",
            "2026-01-05 10:00:00.",
            "2026-01-05x10:00:00",
            "now",
            "epoch",
            "infinity",
            "20260105",
        )
    ),
}
PATTERNS = {
    "%d/%m/%Y %H:%M": {
        "1/12/2010 8:26": "2010-12-01 08:26:00",
        "01/12/2010 08:26": "2010-12-01 08:26:00",
        "31/2/2010 8:26": None,
        "1/12/10 8:26": None,
        " 1/12/2010 8:26": None,
        "1/12/2010  8:26": None,
        "1/12/2010 8:26:00": None,
        "1/12/2010 24:00": None,
    },
    "%Y%m%d%H%M%S": {"20261231235959": "2026-12-31 23:59:59", "2026123123595": None, "20261231 235959": None},
    "%Y-%m-%dT%H:%M:%S.%f%z": {
        "2026-01-05T10:00:00.123+0200": "2026-01-05 08:00:00.123",
        "2026-01-05T10:00:00.1+02:00": "2026-01-05 08:00:00.1",
        "2026-01-05T10:00:00.1Z": None,
        "2026-01-05T10:00:00.1234567+02": None,
    },
    "%d %b %Y %I:%M %p": {
        "05 Jan 2026 10:00 PM": "2026-01-05 22:00:00",
        "5 JAN 2026 12:00 am": "2026-01-05 00:00:00",
        "5 January 2026 1:00 AM": None,
        "05 Jan 2026 13:00 PM": None,
    },
    "%B %d, %Y": {"January 5, 2026": "2026-01-05 00:00:00", "Jan 5, 2026": None},
    "%Y o'clock (%m%%)": {"2026 o'clock (5%)": "2026-05-01 00:00:00", "2026 o'clock 5%": None},
}


@pytest.mark.parametrize("pattern", ["iso", *PATTERNS])
def test_texts_are_the_same_timestamps_on_every_engine(engine, pattern):
    expected = ISO if pattern == "iso" else PATTERNS[pattern]
    engine.table("texts", pa.table({"t": list(expected)}))
    parsed = engine.dialect.parse_time("t", pattern)
    rows = engine.fetch(f"SELECT t, CAST({parsed} AS STRING) AS parsed FROM texts").to_pylist()
    assert {row["t"]: row["parsed"] for row in rows} == expected


def in_utc(local: datetime, zone: str) -> datetime:
    """Return a local time in UTC; the earlier of two meanings, and skipped times move forward."""
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC).replace(tzinfo=None)


@pytest.mark.parametrize("zone", ZONES)
def test_skipped_and_repeated_local_hours_are_converted_as_by_python(engine, zone):
    engine.table("local", pa.table({"t": pa.array(LOCAL, pa.timestamp("us"))}))
    utc = f"to_utc_timestamp(t, '{zone}')"
    back = f"from_utc_timestamp(t, '{zone}')"
    query = f"SELECT unix_micros(t) AS t, unix_micros({utc}) AS utc, unix_micros({back}) AS back FROM local"
    if engine.name == "spark":
        query = query.replace("FROM local", "FROM (SELECT CAST(t AS TIMESTAMP) AS t FROM local)")
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001
    for row in engine.fetch(query).to_pylist():
        t, utc, back = (epoch + timedelta(microseconds=row[name]) for name in ("t", "utc", "back"))
        assert utc == in_utc(t, zone)
        assert back == t.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@settings(max_examples=60)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2027, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001
def test_any_local_time_is_converted_as_by_python(duckdb_engine, local, zone):
    text = local.isoformat(sep=" ")
    query = f"SELECT to_utc_timestamp(TIMESTAMP '{text}', '{zone}') AS utc"
    assert duckdb_engine.fetch(query)["utc"][0].as_py() == in_utc(local, zone)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("%Y-%q", "unknown directive %q in '%Y-%q'; known: %Y %m"),
        (
            "%d/%m/%y",
            "expected iso, epoch_s, epoch_ms, epoch_us or a strptime pattern with %Y, got '%d/%m/%y'",
        ),
        ("%Y %", "unknown directive % in"),
        ("seconds", "expected iso, epoch_s"),
    ],
)
def test_a_pattern_that_the_engines_read_differently_is_refused(pattern, message):
    with pytest.raises(ValueError, match=message):
        Source(path="x", columns={"user": "u", "item": "i", "timestamp": "t"}, timestamp_format=pattern)
