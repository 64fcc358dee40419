"""Timestamps of every unit become exact microseconds; anything else is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.timestamps import microseconds, to_microseconds

TEXTS = ["1969-12-31T23:59:58", "2000-01-01", "2026-11-20T12:30:01"]
EXPECTED = [-2_000_000, 946_684_800_000_000, 1_795_177_801_000_000]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_every_unit_gives_the_same_microseconds(unit: str) -> None:
    """The year 2000 in milliseconds was once read as 1970."""
    times = np.array(TEXTS, dtype=f"datetime64[{unit}]")
    assert microseconds(times).tolist() == EXPECTED
    assert microseconds(pd.Series(times)).tolist() == EXPECTED
    assert [to_microseconds(time) for time in times] == EXPECTED


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m"])
def test_coarse_units_mean_the_start_of_their_span(unit: str) -> None:
    times = np.array(["2026-11-20T12:30"], dtype=f"datetime64[{unit}]")
    assert microseconds(times).tolist() == times.astype("datetime64[us]").astype(np.int64).tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_integers_are_microseconds(dtype: Any) -> None:
    converted = microseconds(np.array([0, 100], dtype=dtype))
    assert converted.dtype == np.int64
    assert converted.tolist() == [0, 100]


def test_int64_is_not_copied() -> None:
    times = np.array([1, 2], dtype=np.int64)
    assert microseconds(times) is times


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from(["s", "ms", "us", "ns"]))
def test_a_timestamp_is_converted_exactly_or_refused(value: int, unit: str) -> None:
    counts = {"s": 10**6, "ms": 10**3, "us": 1}
    whole = value // 1000 if unit == "ns" else value * counts[unit]
    lossless = (unit != "ns" or value % 1000 == 0) and -(2**63) < whole < 2**63
    times = np.array([value], dtype=np.int64).view(f"datetime64[{unit}]")
    if lossless:
        assert microseconds(times).tolist() == [whole]
    else:
        with pytest.raises(ModelError, match=f"got {value} {unit} since 1970 in row 0"):
            microseconds(times)


@pytest.mark.parametrize(
    ("times", "actual"),
    [
        (np.array([True]), r"bool \(1,\)"),
        (np.array([1.5, np.nan]), r"float64 \(2,\)"),
        (np.array([np.inf]), r"float64 \(1,\)"),
        (np.array(["2026-11-20"]), r"<U10 \(1,\)"),
        (np.array([datetime(2026, 11, 20, tzinfo=UTC)]), r"object \(1,\)"),
        (pd.Series(pd.to_datetime(["2026-11-20"], utc=True)), r"object \(1,\)"),
        (np.array([[1]]), r"int64 \(1, 1\)"),
        (np.array([1], dtype="timedelta64[s]"), r"timedelta64\[s\] \(1,\)"),
    ],
)
def test_the_message_about_another_type_says_what_was_expected(times: Any, actual: str) -> None:
    message = "one-dimensional array of datetime64 in UTC or of integer microseconds, got " + actual
    with pytest.raises(ModelError, match=message):
        microseconds(times)


def test_a_missing_timestamp_is_refused_with_its_row() -> None:
    for unit in ("ms", "ns"):
        with pytest.raises(ModelError, match=r"expected timestamps without NaT, got one in row 1 \(from 0\)"):
            microseconds(np.array(["2026-11-20", "NaT"], dtype=f"datetime64[{unit}]"))


def test_timestamps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match=r"got 1 ns since 1970 in row 1 .*'datetime64\[us\]'\) rounds them"):
        microseconds(np.array([2000, 1], dtype="datetime64[ns]"))
    with pytest.raises(
        ModelError, match=r"int64 holds, got 10000000000000 s since 1970 in row 0 \(from 0\)$"
    ):
        microseconds(np.array([10**13], dtype="datetime64[s]"))
    with pytest.raises(ModelError, match="at most 9223372036854775807 microseconds, got 9223372036854775808"):
        microseconds(np.array([2**63], dtype=np.uint64))


def test_a_timestamp_is_a_datetime_in_its_zone_or_a_number_of_microseconds() -> None:
    berlin = datetime(2026, 11, 20, 13, 30, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    same = [datetime(2026, 11, 20, 12, 30, 1), berlin, pd.Timestamp(berlin), np.int64(EXPECTED[2])]  # noqa: DTZ001
    assert [to_microseconds(value) for value in same] == [EXPECTED[2]] * 4
    assert to_microseconds(datetime.max.replace(tzinfo=UTC)) == 253_402_300_799_999_999


@pytest.mark.parametrize("value", [True, 1.0, "2026-11-20", None, pd.NaT, 2**63, np.datetime64("NaT")])
def test_values_that_are_not_timestamps_are_refused(value: Any) -> None:
    with pytest.raises(ModelError, match=r"expected a timestamp as a datetime|without NaT"):
        to_microseconds(value)
