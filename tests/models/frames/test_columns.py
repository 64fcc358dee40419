"""Times and numbers are converted exactly, or refused with the first bad row."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.errors import ModelError
from models.frames.columns import numbers, strengths, times, whole_numbers
from models.frames.source import to_column

TIMESTAMP = 1_000_000_000_000_000  # microseconds: 2001-09-09 01:46:40
NEW_YORK = "2001-09-08T21:46:40"


def microseconds_of(values: Any, unit: str | None = None) -> list[int]:
    return times(to_column("time", values), unit).tolist()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_and_whole_numbers_of_every_unit_are_the_same_time(unit: str) -> None:
    count = {"s": 10**9, "ms": 10**12, "us": 10**15, "ns": 10**18}[unit]
    assert microseconds_of(np.array([count], f"M8[{unit}]")) == [TIMESTAMP]
    assert microseconds_of(pd.Series(np.array([count], f"M8[{unit}]"))) == [TIMESTAMP]
    assert microseconds_of(pa.array([count], pa.timestamp(unit, "America/New_York"))) == [TIMESTAMP]
    assert microseconds_of([count], unit) == [TIMESTAMP]
    assert microseconds_of([float(count)], unit) == [TIMESTAMP]


@pytest.mark.parametrize("unit", ["m", "h", "D", "W", "M", "Y"])
def test_coarse_units_of_numpy_mean_the_start_of_their_span(unit: str) -> None:
    value = np.array(["2001-09-09T01:46:40"], "M8[s]").astype(f"M8[{unit}]")
    assert microseconds_of(value) == [int(value.astype("M8[us]").astype(np.int64)[0])]


@pytest.mark.parametrize(
    "values",
    [
        ["2001-09-09 01:46:40"],
        ["2001-09-09T01:46:40.000000"],
        ["2001-09-09T01:46:40Z"],
        [f"{NEW_YORK}-04:00"],
        pa.array(["2001-09-09 01:46:40"], pa.string_view()),
        pd.Series(["2001-09-09 01:46:40"], dtype="category"),
        pd.Series([pd.Timestamp(NEW_YORK, tz="America/New_York")]),
        pd.Series([pd.Timestamp(NEW_YORK, tz="America/New_York")], dtype=object),
        [dt.datetime(2001, 9, 9, 1, 46, 40)],  # noqa: DTZ001 - without a zone, as in many frames
        pd.Series([10**9], dtype="timestamp[s][pyarrow]"),
    ],
)
def test_zones_are_converted_and_times_without_one_are_utc(values: Any) -> None:
    assert microseconds_of(values) == [TIMESTAMP]


def test_dates_mean_midnight() -> None:
    assert microseconds_of([dt.date(1970, 1, 2)]) == microseconds_of(["1970-01-02"]) == [86_400 * 10**6]
    assert microseconds_of(pa.array([dt.date(1969, 12, 31)], pa.date64())) == [-86_400 * 10**6]


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        ([1, 2], None, "expected unit= one of s, ms, us, ns for the numbers in 'time', got None"),
        ([1, 2], "h", "expected unit= one of s, ms, us, ns for the numbers in 'time', got 'h'"),
        ([1.5], "s", r"expected whole numbers as times in 'time', got others: .*1\.5"),
        (
            [2**62],
            "s",
            "'time': expected timestamps of whole .* got 4611686018427387904 s since 1970 in row 0",
        ),
        (
            np.array([1], "M8[ns]"),
            None,
            "'time': expected timestamps of whole microseconds .* got 1 ns since 1970 in row 0",
        ),
        (
            np.array([0, "NaT"], "M8[s]"),
            None,
            "expected a time in every row of 'time', got 1 null, the first in row 1",
        ),
        (["2026-01-01", "soon"], None, "expected times in ISO 8601 in 'time', .* got 'soon'"),
        (["2026-01-01T00:00", "2026-01-01T00:00Z"], None, "all with an offset or all without"),
        (["2026-01-01T00:00:00.1234567"], None, r"at most 6 decimals, got '2026-01-01T00:00:00\.1234567'"),
        ([dt.time(1)], None, "expected times .* in 'time', got time64"),
        ([True], None, "expected times .* in 'time', got bool"),
        (pd.Series(pd.period_range("2026", periods=1, freq="D")), None, "expected times .* in 'time', got"),
    ],
)
def test_values_that_are_not_times_or_would_lose_digits_are_refused(
    values: Any, unit: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        microseconds_of(values, unit)


@pytest.mark.parametrize(
    "values",
    [[1, 0], [1.0, 0.0], [True, False], np.array([1, 0], np.float16), pd.Series([1, 0], dtype="Int8")],
)
def test_numbers_of_any_type_are_float64(values: Any) -> None:
    converted = numbers(to_column("rating", values))
    assert converted.dtype == np.float64
    assert converted.tolist() == [1.0, 0.0]
    decimals = to_column("rating", pa.array([1, 0]).cast(pa.decimal128(21, 2)))
    assert numbers(decimals).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "2"], "expected numbers in 'rating', got string"),
        ([1.0, None], "expected a number in every row of 'rating', got 1 null, the first in row 1"),
        (
            np.array([np.nan, 1.0]),
            "expected a number in every row of 'rating', got 1 null, the first in row 0",
        ),
        (
            [1.0, np.inf, -np.inf],
            r"finite numbers in 'rating', got inf in row 1 \(from 0\), and others in 1 more",
        ),
        ([2**53 + 1], "expected numbers that a float64 can hold in 'rating'"),
    ],
)
def test_values_that_are_not_finite_numbers_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        numbers(to_column("rating", values))


def test_whole_numbers_are_int64_or_refused() -> None:
    assert whole_numbers(to_column("position", np.array([3, 4], np.uint8))).tolist() == [3, 4]
    for values, message in (
        ([1.5], "expected whole numbers in 'position', got others"),
        ([None], "got 1 null"),
    ):
        with pytest.raises(ModelError, match=message):
            whole_numbers(to_column("position", values))


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+05:30", "2026-01-02T00:00:00"], 2),
        (["2026-01-01", "2026-01-02T10:00", "2026-01-01T10:00:00Z", "2026-01-03"], 2),
        (["2026-01-01T00:00:00Z", "01/02/2026", "2026-01-02T00:00:00Z"], 1),
        (["soon", "2026-01-02"], 0),
    ],
)
def test_the_first_row_that_differs_from_most_is_reported(values: list[str], wrong: int) -> None:
    with pytest.raises(ModelError, match=re.escape(f"got {values[wrong]!r} in row {wrong} (from 0)")):
        microseconds_of(values)


def test_weights_that_would_vanish_are_refused() -> None:
    assert strengths(to_column("w", [0.0, 1e-6, 2.0])).tolist() == [0, 1e-6, 2]
    with pytest.raises(ModelError, match=r"weights of 0, or 1e-06 or more, in 'w', got 1e-09 in row 1"):
        strengths(to_column("w", [1.0, 1e-9]))


@pytest.mark.parametrize("read", [numbers, strengths, whole_numbers])
def test_arrays_are_copies_of_the_column(read: Any) -> None:
    kind = np.int64 if read is whole_numbers else np.float64
    source = np.array([1, 2], kind)
    array = read(to_column("x", source))
    source[:] = 7
    assert array.tolist() == [1, 2]
    count = np.array([1, 2], np.int64)
    converted = times(to_column("x", count), "us")
    count[:] = 7
    assert converted.tolist() == [1, 2]
