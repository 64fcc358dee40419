"""Frames of any kind as Arrow columns, and Arrow tables as frames of the same kind.

Reading a frame does not import pandas or polars: the caller has already done so. Other objects with
the Arrow PyCapsule interface (``__arrow_c_stream__``) are read too, and their results are Arrow
tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from models.errors import ModelError

Kind = Literal["arrow", "pandas", "polars"]
LISTED = 20  # column names in a message
CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)


@dataclass(frozen=True)
class Form:
    """The origin of a column: the kind of its frame, and its pandas or polars type, or None."""

    kind: Kind = "arrow"
    dtype: Any = None


@dataclass(frozen=True, eq=False)
class Column:
    """A column: its ``name``, its ``values`` as a pyarrow ChunkedArray, and its ``form``."""

    name: Hashable
    values: Any
    form: Form

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Source:
    """A frame or mapping: its kind, column names, and access to columns and types by name."""

    kind: Kind
    names: tuple[Hashable, ...]
    get: Callable[[Any], Any]
    dtype: Callable[[Any], Any]
    index: tuple[Hashable, ...] = ()

    def column(self, name: Hashable) -> Column:
        """Return a column by its name.

        Raises
        ------
        ModelError
            When the column is missing or repeated, or its values have several types or dimensions.
        """
        count = self.names.count(name)
        if count == 0:
            raise ModelError(f"expected a column {name!r}, got {self.describe_columns()}{self.hint(name)}")
        if count > 1:
            raise ModelError(f"expected one column {name!r}, got {count} of that name")
        try:
            values = self.get(name)
        except CONVERSION_ERRORS as error:
            raise ModelError(
                f"expected a type that Arrow has in {name!r}, got {self.dtype(name)}: {_line(error)}"
            ) from error
        return Column(name, _arrow(name, values), Form(self.kind, self.dtype(name)))

    def first(self, names: Sequence[str]) -> str | None:
        """Return the first of some names that is a column, or None."""
        return next((name for name in names if name in self.names), None)

    def hint(self, *names: Hashable) -> str:
        """Return how to turn an index with one of these names into a column, for a message."""
        index = next((name for name in names if name in self.index), None)
        return "" if index is None else f"; {index!r} is in the index: reset_index() makes it a column"

    def describe_columns(self) -> str:
        """Return the names of the columns, for a message."""
        more = f" and {len(self.names) - LISTED} more" if len(self.names) > LISTED else ""
        return f"the columns {', '.join(map(str, self.names[:LISTED]))}{more}" if self.names else "no columns"


def open_frame(frame: Any) -> Source:
    """Return a pandas or polars frame, an Arrow table or a mapping of arrays as a source.

    Raises
    ------
    ModelError
        When the frame is none of these.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        names = tuple(frame.columns)
        return Source(
            "pandas", names, frame.__getitem__, lambda name: frame[name].dtype, tuple(frame.index.names)
        )
    if isinstance(frame, Mapping):
        return Source("arrow", tuple(frame), frame.__getitem__, lambda _: None)
    if type(frame).__module__.partition(".")[0] == "polars" and type(frame).__name__ == "DataFrame":
        return Source("polars", tuple(frame.columns), partial(_from_polars, frame), frame.schema.__getitem__)
    if isinstance(frame, type):
        raise ModelError(f"expected a frame, got the class {frame.__name__}")
    if not any(hasattr(frame, method) for method in ("__arrow_c_stream__", "__arrow_c_array__")):
        lazy = "; collect() makes it a frame" if hasattr(frame, "collect") else ""
        raise ModelError(
            "expected a frame of pandas or polars, an Arrow table or a mapping of arrays, "
            f"got {type(frame).__name__}{lazy}"
        )
    try:
        table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    except CONVERSION_ERRORS as error:
        raise ModelError(
            f"expected a table of columns, got {type(frame).__name__}: {_line(error)}"
        ) from error
    return Source("arrow", tuple(table.column_names), table.column, lambda _: None)


def to_column(name: str, values: Any) -> Column:
    """Return values outside a frame (a list, an array, a series) as a column."""
    if isinstance(values, str | bytes):
        raise ModelError(f"expected a list of {name}, got the single {values!r:.100}")
    if hasattr(values, "columns"):
        raise ModelError(f"expected a list of {name}, got a {type(values).__name__}: name its column")
    return Column(name, _arrow(name, values), Form())


def to_frame(kind: Kind, table: Any, forms: Mapping[str, Form]) -> Any:
    """Return an Arrow table as a frame of a kind; ``forms`` holds the origins of columns by name.

    Columns from another kind of frame get the default type for their Arrow type.
    """
    dtypes: dict[Any, Any] = {name: form.dtype for name, form in forms.items() if form.kind == kind}
    if kind == "pandas":
        return table.to_pandas().astype(dtypes)
    if kind == "polars":
        import polars

        return polars.DataFrame(table).cast(dtypes)
    return table


def _from_polars(frame: Any, name: str) -> Any:
    """Return a column of a polars frame, whatever the types of its other columns."""
    return pa.table(frame[[name]]).column(0)


def _arrow(name: Hashable, values: Any) -> Any:
    """Return values as a pyarrow ChunkedArray, after converting numpy types that Arrow lacks."""
    if isinstance(values, str | bytes):
        raise ModelError(f"expected a column of values in {name!r}, got the single {values!r:.100}")
    if isinstance(values, np.ndarray):
        values = _native(name, values)
    try:
        if isinstance(values, pa.ChunkedArray):
            return values
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "__array_ufunc__"):
            return pa.chunked_array(values)
        array = _read(name, values)
        return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    except CONVERSION_ERRORS as error:
        raise ModelError(f"expected values of one type in {name!r}, got: {_line(error)}") from error


def _native(name: Hashable, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a one-dimensional numpy array in native byte order; days and hours become seconds."""
    if values.ndim != 1:
        raise ModelError(f"expected a one-dimensional array for {name!r}, got one of shape {values.shape}")
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in ("Y", "M", "W", "D", "h", "m"):
        seconds = values.astype("datetime64[s]")  # wraps out of range: convert back to check
        lost = np.flatnonzero((seconds.astype(values.dtype) != values) & ~np.isnat(values))
        if len(lost):
            unit, first = np.datetime_data(values.dtype)[0], values[lost[0]].astype(np.int64)
            raise ModelError(
                f"expected times whose seconds int64 holds in {name!r}, got {first} {unit} since 1970 in row "
                f"{lost[0]} (from 0)"
            )
        values = seconds
    return values


def _read(name: Hashable, values: Any) -> Any:
    """Return a sequence as an Arrow array, with whole numbers from 2^63 on as uint64."""
    if not hasattr(values, "__len__") and hasattr(values, "__iter__"):
        values = list(values)
    try:
        array = pa.array(values)
    except OverflowError:
        array = pa.array(values, pa.uint64())
    if pa.types.is_date(array.type) and np.dtype(object) == getattr(values, "dtype", object):
        for row, value in enumerate(values):
            if isinstance(value, datetime):  # Arrow would cut it to its day
                raise ModelError(
                    f"expected all dates or all datetimes in {name!r}, got the datetime {value} in row {row} "
                    "(from 0) among dates"
                )
    return array


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
