"""Columns are read from frames of every kind, and results are frames of the same kind."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from models.errors import ModelError
from models.frames.source import Form, open_frame, to_column, to_frame

TABLE = pa.table({"user_id": pa.array(["a", "b"]), "rank": pa.array([1, 2], pa.int32())})


class Stream:
    """A frame of an unknown library that supports the PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (TABLE, "arrow"),
        (TABLE.to_batches()[0], "arrow"),
        (TABLE.to_reader(), "arrow"),
        (Stream(), "arrow"),
        ({"user_id": ["a", "b"], "rank": np.array([1, 2], np.int32)}, "arrow"),
        (TABLE.to_pandas(), "pandas"),
        (pl.DataFrame(TABLE), "polars"),
    ],
    ids=["table", "batch", "reader", "stream", "mapping", "pandas", "polars"],
)
def test_columns_are_read_from_frames_of_every_kind(frame: Any, kind: str) -> None:
    source = open_frame(frame)
    assert source.kind == kind
    assert source.names == ("user_id", "rank")
    assert source.column("user_id").values.to_pylist() == ["a", "b"]
    assert source.column("rank").values.type == pa.int32()
    assert source.first(("item", "rank")) == "rank"
    assert source.first(("item",)) is None


def test_results_are_frames_of_the_requested_kind() -> None:
    assert to_frame("arrow", TABLE, {}) is TABLE
    frame = to_frame("pandas", TABLE, {"user_id": Form("pandas", pd.CategoricalDtype(["b", "a"]))})
    assert isinstance(frame, pd.DataFrame)
    assert frame["user_id"].dtype == pd.CategoricalDtype(["b", "a"])
    assert frame["rank"].dtype == np.int32
    enum = to_frame("polars", TABLE, {"user_id": Form("polars", pl.Enum(["b", "a"]))})
    assert enum.schema == {"user_id": pl.Enum(["b", "a"]), "rank": pl.Int32}
    assert (
        to_frame("polars", TABLE, {"user_id": Form("pandas", np.dtype(object))})["user_id"].dtype == pl.String
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(6)[::2], pa.int64()),
        (np.arange(6, dtype=">i4")[:3], pa.int32()),
        (np.ma.array([1, 2, 3], mask=[0, 0, 0]), pa.int64()),
        (np.array(["x", "y", "z"]), pa.string()),
        (np.array(["2026", "2027", "2028"], "M8[Y]"), pa.timestamp("s")),
        (pd.Series([1, 2, 3], index=[9, 9, 7], dtype="int64[pyarrow]"), pa.int64()),
        (pd.Index([1, 2, 3]), pa.int64()),
        (pl.Series([1, 2, 3]), pa.int64()),
        (pa.chunked_array([[1], [2, 3]]), pa.int64()),
        (range(3), pa.int64()),
    ],
)
def test_arrays_of_every_layout_are_read(values: Any, kind: Any) -> None:
    column = to_column("x", values)
    assert column.values.type == kind
    assert len(column) == 3


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "a frame of pandas or polars, an Arrow table or a mapping of arrays, got list"),
        (np.zeros((2, 2)), "got ndarray"),
        (None, "got NoneType"),
        (pl.LazyFrame({"x": [1]}), r"got LazyFrame; collect\(\) makes it a frame"),
        (pl.Series([1]), "expected a table of columns, got Series"),
        (pa.array([1]), "expected a table of columns, got Int64Array"),
    ],
)
def test_values_that_are_not_frames_are_refused(frame: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        open_frame(frame)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "a"], "expected values of one type in 'x', got: "),
        (pd.Series([1, "a"]), "expected values of one type in 'x', got: "),
        (np.zeros((2, 3)), r"expected a one-dimensional array for 'x', got one of shape \(2, 3\)"),
        (
            np.array([1], "M8[ps]"),
            "expected values of one type in 'x', got: Unsupported datetime64 time unit",
        ),
        ("u1", "expected a list of x, got the single 'u1'"),
        (7, "expected values of one type in 'x'"),
    ],
)
def test_values_that_are_not_columns_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_column("x", values)


def test_missing_and_repeated_columns_are_refused_and_the_message_mentions_an_index() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"], index=pd.Index([5], name="user"))
    source = open_frame(frame)
    with pytest.raises(ModelError, match=r"^expected a column 'c', got the columns a, b, b$"):
        source.column("c")
    with pytest.raises(ModelError, match=r"^expected one column 'b', got 2 of that name$"):
        source.column("b")
    with pytest.raises(ModelError, match=r"'user' is in the index: reset_index\(\) makes it a column"):
        source.column("user")
    with pytest.raises(ModelError, match=r"and 5 more$"):
        open_frame({f"c{number}": [1] for number in range(25)}).column("x")
    with pytest.raises(ModelError, match="got no columns"):
        open_frame({}).column("x")


def test_only_the_columns_that_are_used_are_converted() -> None:
    frame = pl.DataFrame({"x": [1, 2], "wide": pl.Series([1, 2], dtype=pl.Int128)})
    source = open_frame(frame)
    assert source.column("x").values.to_pylist() == [1, 2]
    with pytest.raises(ModelError, match="expected a type that Arrow has in 'wide', got Int128: "):
        source.column("wide")


def test_a_class_is_no_frame_and_text_is_no_column() -> None:
    with pytest.raises(ModelError, match="expected a frame, got the class DataFrame"):
        open_frame(pl.DataFrame)
    with pytest.raises(ModelError, match="expected a column of values in 'user', got the single 'ab'"):
        open_frame({"user": "ab"}).column("user")


def test_large_whole_numbers_in_a_list_are_read_exactly() -> None:
    assert to_column("x", [2**64 - 1, 1]).values.to_pylist() == [2**64 - 1, 1]
    with pytest.raises(ModelError, match="'x'"):
        to_column("x", [2**64])


def test_a_datetime_among_dates_is_refused_and_not_cut_to_its_day() -> None:
    mixed = [dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, 5)]  # noqa: DTZ001 - as in many frames
    for values in (mixed, pd.Series(mixed, dtype=object)):
        with pytest.raises(ModelError, match=r"got the datetime 2026-01-01 05:00:00 in row 1 \(from 0\)"):
            to_column("time", values)


def test_days_out_of_the_range_of_seconds_are_refused() -> None:
    with pytest.raises(ModelError, match=r"in 'time', got 4611686018427387904 D since 1970 in row 1"):
        to_column("time", np.array([1, 2**62], "M8[D]"))
    assert to_column("time", np.array(["NaT", 3], "M8[D]")).values.null_count == 1
