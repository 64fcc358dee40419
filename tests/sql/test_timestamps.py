"""Timestamps: one grammar and one meaning of each local time, on both engines as in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.interactions.times import is_local, parsed_time
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
    "2026-01-05 ": "2026-01-05 00:00:00",
    " 2026-01-05": "2026-01-05 00:00:00",
    "20260105": "2026-01-05 00:00:00",
    "2026-01-05 10": "2026-01-05 10:00:00",
    "2026-01-05T10Z": "2026-01-05 10:00:00",
    "2026-01-05T10+01": "2026-01-05 09:00:00",
    "2026-01-05T10:00Z": "2026-01-05 10:00:00",
    "2026-01-05t10:00:00z": "2026-01-05 10:00:00",
    "20260105T100000": "2026-01-05 10:00:00",
    "20260105T1000Z": "2026-01-05 10:00:00",
    "20260105T100000.5+0200": "2026-01-05 08:00:00.5",
    "2026-01-05 10:00:00 +0200": "2026-01-05 08:00:00",
    "2026-01-05 10:00:00 UTC": "2026-01-05 10:00:00",
    "2026-01-05 10:00:00.123 UTC": "2026-01-05 10:00:00.123",
    "2026-01-05 10:00:00GMT": "2026-01-05 10:00:00",
    "2026-01-05 10:00:00,5": "2026-01-05 10:00:00.5",
    "2026-01-05T10:00:00+02:00[Europe/Paris]": "2026-01-05 08:00:00",
    "2026-01-05T10:00:00Z[UTC]": "2026-01-05 10:00:00",
    **dict.fromkeys(
        (
            "2026-1-5",
            "2026-02-29",
            "2026-13-01",
            "0000-01-01",
            "2026-01-05 24:00:00",
            "2026-01-05 23:59:60",
            "2026-01-05 10:00:00+25:00",
            "2026-01-05 10:00:00 EST",
            "2026-01-05 10:00:00 America/New_York",
            "2026-01-05 10:00:00.",
            "2026-01-05x10:00:00",
            "2026-01-05 10:00:00\n",
            "2026-01-05T10:00:00[Europe/Paris]",
            "2026-01-05 UTC",
            "2026015",
            "now",
            "epoch",
            "infinity",
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
    "%d/%m/%y": {
        "5/1/26": "2026-01-05 00:00:00",
        "05/01/68": "2068-01-05 00:00:00",
        "05/01/69": "1969-01-05 00:00:00",
        "31/02/26": None,
        "5/1/2026": None,
    },
    "%G-W%V": {"2026-W01": "2025-12-29 00:00:00", "2026-W53": "2026-12-28 00:00:00", "2025-W53": None},
    "%G-W%V-%u": {"2026-W46-7": "2026-11-15 00:00:00", "2026-W46-8": None, "2025-W53-1": None},
    "%Y.%j %H:%M:%S": {
        "2026.5 1:02:03": "2026-01-05 01:02:03",
        "2026.366 1:02:03": None,
        "2024.366 1:02:03": "2024-12-31 01:02:03",
    },
    "%a, %d %b %Y %H:%M:%S %Z": {
        "Mon, 05 Jan 2026 10:00:00 GMT": "2026-01-05 10:00:00",
        "Mon, 05 anf 2026 10:00:00 GMT": None,
        "Mon, 05 Jan 2026 10:00:00 CET": None,
    },
    "%a %b %d %H:%M:%S %z %Y": {
        "Mon Jan 05 10:00:00 +0530 2026": "2026-01-05 04:30:00",
        "Mon Jan 05 10:00:00 -08:00 2026": "2026-01-05 18:00:00",
    },
    "%d-%b-%y %I.%M.%S.%f %p": {
        "05-JAN-26 12.30.00.25 AM": "2026-01-05 00:30:00.25",
        "05-JAN-26 01.30.00.000000 PM": "2026-01-05 13:30:00",
        "05-JAN-26 13.30.00.0 PM": None,
    },
    "epoch_ns": {
        "1767607200123456789": "2026-01-05 10:00:00.123456",
        " 5 ": "1970-01-01 00:00:00",
        "1.767e18": None,
        "-5": None,
    },
    "epoch_ms": {
        "1767607200123": "2026-01-05 10:00:00.123",
        "1.767607200123E12": "2026-01-05 10:00:00.123",
        "1.76761E+12": None,
        "1_767_607_200_123": None,
        "1767607200123d": None,
    },
    "%Y o'clock (%m%%)": {"2026 o'clock (5%)": "2026-05-01 00:00:00", "2026 o'clock 5%": None},
}


def source(**settings: Any) -> Source:
    """Return a source with these settings."""
    return Source(path="x", columns={"user": "u", "item": "i", "timestamp": "t"}, **settings)


@pytest.mark.parametrize("pattern", ["iso", *PATTERNS])
def test_texts_are_the_same_timestamps_on_every_engine(engine, pattern):
    expected = ISO if pattern == "iso" else PATTERNS[pattern]
    engine.table("texts", pa.table({"t": list(expected)}))
    parsed = parsed_time("t", source(timestamp_format=pattern), engine.dialect)
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
        ("%d/%m", "expected iso, epoch_s, epoch_ms, epoch_us, epoch_ns or a strptime pattern with %Y, %y"),
        ("%V-%u", "expected iso, epoch_s"),
        ("%Y %", "unknown directive % in"),
        ("seconds", "expected iso, epoch_s"),
    ],
)
def test_a_pattern_without_a_year_or_with_an_unknown_directive_is_refused(pattern, message):
    with pytest.raises(ValueError, match=message):
        source(timestamp_format=pattern)


def test_of_several_formats_the_first_that_reads_a_text_counts(engine):
    texts = {
        "2026-01-05T10:00:00Z": "2026-01-05 10:00:00",
        "05/01/2026 10:00": "2026-01-05 09:00:00",
        "1767607200": "2026-01-05 10:00:00",
        "2026-01-05T10:00:00": "2026-01-05 09:00:00",
        "x": None,
    }
    several = source(timestamp_format=("iso", "%d/%m/%Y %H:%M", "epoch_s"), time_zone="Europe/Paris")
    engine.table("texts", pa.table({"t": list(texts)}))
    engine.view("parsed", f"SELECT t, {parsed_time('t', several, engine.dialect)} AS parsed FROM texts")
    local = is_local("t", several, engine.dialect)
    utc = f"CASE WHEN {local} THEN to_utc_timestamp(parsed, 'Europe/Paris') ELSE parsed END"
    rows = engine.fetch(f"SELECT t, CAST({utc} AS STRING) AS utc FROM parsed").to_pylist()
    assert {row["t"]: row["utc"] for row in rows} == texts
