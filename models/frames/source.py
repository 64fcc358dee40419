"""Frames of any kind as columns of Arrow, and tables of Arrow as frames of the same kind.

pandas and polars are never imported here: a frame of theirs means that the caller has. Whatever else speaks
the Arrow PyCapsule interface (``__arrow_c_stream__``) is read too, and answered in Arrow tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from models.errors import ModelError

Kind = Literal["arrow", "pandas", "polars"]
LISTED = 20  # names of columns in a message
CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)


@dataclass(frozen=True)
class Form:
    """What a column came in as: the kind of its frame and the type it had there (pandas, polars), or None."""

    kind: Kind = "arrow"
    dtype: Any = None


@dataclass(frozen=True, eq=False)
class Column:
    """One column: its ``name``, its ``values`` as a pyarrow ChunkedArray, and its ``form``."""

    name: Hashable
    values: Any
    form: Form

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Source:
    """A frame or mapping: its kind, the names of its columns, and how to get one, and its type, by name."""

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
            When there is none, or more than one, or its values are of several types or dimensions.
        """
        count = self.names.count(name)
        if count == 0:
            raise ModelError(f"expected a column {name!r}, got {self.listed()}{self.hint(name)}")
        if count > 1:
            raise ModelError(f"expected one column {name!r}, got {count} of that name")
        return Column(name, _arrow(name, self.get(name)), Form(self.kind, self.dtype(name)))

    def first(self, names: Sequence[str]) -> str | None:
        """Return the first of some names that is a column, None if none is."""
        return next((name for name in names if name in self.names), None)

    def hint(self, *names: Hashable) -> str:
        """Return what makes a column of an index that has one of these names, for a message."""
        index = next((name for name in names if name in self.index), None)
        return "" if index is None else f"; {index!r} is in the index: reset_index() makes it a column"

    def listed(self) -> str:
        """Return the names of the columns, for a message."""
        more = f" and {len(self.names) - LISTED} more" if len(self.names) > LISTED else ""
        return f"the columns {', '.join(map(str, self.names[:LISTED]))}{more}" if self.names else "no columns"


def opened(frame: Any) -> Source:
    """Return a frame of pandas or polars, an Arrow table or a mapping of arrays as a source of columns.

    Raises
    ------
    ModelError
        When it is none of these.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        names = tuple(frame.columns)
        return Source(
            "pandas", names, frame.__getitem__, lambda name: frame[name].dtype, tuple(frame.index.names)
        )
    if isinstance(frame, Mapping):
        return Source("arrow", tuple(frame), frame.__getitem__, lambda _: None)
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
    if type(frame).__module__.partition(".")[0] == "polars":
        return Source("polars", tuple(table.column_names), table.column, frame.schema.__getitem__)
    return Source("arrow", tuple(table.column_names), table.column, lambda _: None)


def column_of(name: str, values: Any) -> Column:
    """Return values that are in no frame (a list, an array, a series) as a column."""
    if isinstance(values, str | bytes):
        raise ModelError(f"expected a list of {name}, got the single {values!r:.100}")
    return Column(name, _arrow(name, values), Form())


def frame_of(kind: Kind, table: Any, forms: Mapping[str, Form]) -> Any:
    """Return an Arrow table as a frame of that kind; ``forms`` says what columns came in as, by name.

    A column whose form is of another kind of frame keeps the type that its Arrow type has there.
    """
    dtypes: dict[Any, Any] = {name: form.dtype for name, form in forms.items() if form.kind == kind}
    if kind == "pandas":
        return table.to_pandas().astype(dtypes)
    if kind == "polars":
        import polars

        return polars.DataFrame(table).cast(dtypes)
    return table


def _arrow(name: Hashable, values: Any) -> Any:
    """Return values as a pyarrow ChunkedArray; what numpy can say and Arrow cannot is rewritten first."""
    if isinstance(values, np.ndarray):
        values = _native(name, values)
    try:
        if isinstance(values, pa.ChunkedArray):
            return values
        if hasattr(values, "__arrow_c_stream__") and not hasattr(values, "__array_ufunc__"):
            return pa.chunked_array(values)
        array = pa.array(values)
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
        values = values.astype("datetime64[s]")
    return values


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
