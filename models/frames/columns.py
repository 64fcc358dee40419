"""Times and numbers of a column as arrays; what cannot be converted without loss is refused with its row."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import ModelError
from models.frames.source import Column
from models.timestamps import microseconds

UNITS = ("s", "ms", "us", "ns")
NUMERIC = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_null,  # refused as nulls, with their number
)


def moments(column: Column, unit: str | None) -> npt.NDArray[np.int64]:
    """Return a column of times as microseconds since 1970-01-01 UTC, int64 (n_rows,).

    Timestamps of any unit (those without a zone are UTC), dates (their midnight), text in ISO 8601, and
    whole numbers of ``unit`` since 1970.

    Raises
    ------
    ModelError
        When a row has no time, or it cannot be a whole number of microseconds.
    """
    values = decoded(column)
    refuse_nulls(column, "a time", values)
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _whole(column, values.to_numpy())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _counted(column, values, unit)
    if is_text(kind):
        return _read(column, values.cast(pa.large_string()))
    raise ModelError(
        f"expected times (timestamps, dates, ISO 8601 or numbers) in {column.name!r}, got {kind}"
    )


def whole_numbers(column: Column) -> npt.NDArray[np.int64]:
    """Return a column of whole numbers, int64 (n_rows,); ModelError names the first row of another kind."""
    refuse_nulls(column, "a whole number", column.values)
    try:
        return np.asarray(column.values.cast(pa.int64()).to_numpy())
    except pa.ArrowException as error:
        raise ModelError(f"expected whole numbers in {column.name!r}, got others: {_line(error)}") from error


def numbers(column: Column) -> npt.NDArray[np.float64]:
    """Return a column of finite numbers, float64 (n_rows,); ModelError names the first row of another."""
    kind = column.values.type
    if not any(test(kind) for test in NUMERIC):
        raise ModelError(f"expected numbers in {column.name!r}, got {kind}")
    refuse_nulls(column, "a number", column.values)
    try:
        found = np.asarray(column.values.cast(pa.float64()).to_numpy())
    except pa.ArrowException as error:
        raise ModelError(
            f"expected numbers that a float64 can hold in {column.name!r}, got others: {_line(error)}"
        ) from error
    refuse_rows(column, ~np.isfinite(found), "finite numbers", found)
    return found


def decoded(column: Column) -> Any:
    """Return the values of a column; categories as what they stand for."""
    kind = column.values.type
    if not pa.types.is_dictionary(kind):
        return column.values
    plain = pa.large_string() if is_text(kind.value_type) else kind.value_type  # views cannot be taken from
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(plain)).dictionary_decode()
        for chunk in column.values.chunks
    ]
    return pa.chunked_array(chunks, plain)


def is_text(kind: Any) -> bool:
    """Tell whether an Arrow type is one of the three of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def refuse_nulls(column: Column, what: str, values: Any) -> None:
    """Raise a ModelError if a row of a column is null or NaN: how many are, and which is the first.

    ``values`` are the column's, decoded.
    """
    empty = pc.is_null(values, nan_is_null=True)
    count = pc.sum(empty).as_py() or 0
    if count:
        first = pc.index(empty, True).as_py()
        nulls = "1 null" if count == 1 else f"{count} nulls"
        raise ModelError(
            f"expected {what} in every row of {column.name!r}, got {nulls}, the first in row {first} (from 0)"
        )


def refuse_rows(column: Column, wrong: npt.NDArray[np.bool_], what: str, values: npt.NDArray[Any]) -> None:
    """Raise a ModelError if a row is ``wrong`` bool (n_rows,): how many are, and the first with its value."""
    count = int(wrong.sum())
    if count:
        first = int(np.argmax(wrong))
        others = f", and others in {count - 1} more" if count > 1 else ""
        raise ModelError(
            f"expected {what} in {column.name!r}, got {values[first]} in row {first} (from 0){others}"
        )


def _whole(column: Column, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    try:
        return microseconds(values)
    except ModelError as error:
        raise ModelError(f"{column.name!r}: {error}") from None


def _counted(column: Column, values: Any, unit: str | None) -> npt.NDArray[np.int64]:
    if unit not in UNITS:
        raise ModelError(
            f"expected unit= one of {', '.join(UNITS)} for the numbers in {column.name!r}, got {unit!r}"
        )
    try:
        counts = values.cast(pa.int64()).to_numpy()
    except pa.ArrowException as error:
        raise ModelError(
            f"expected whole numbers as times in {column.name!r}, got others: {_line(error)}"
        ) from error
    return _whole(column, counts.astype(f"datetime64[{unit}]"))


def _read(column: Column, values: Any) -> npt.NDArray[np.int64]:
    """Read times in ISO 8601: all with an offset, or all without, which are UTC."""
    problems = []
    for zone in (None, "UTC"):
        try:
            return np.asarray(values.cast(pa.timestamp("us", zone)).cast(pa.int64()).to_numpy())
        except pa.ArrowException as error:
            problems.append(_line(error))
    match = re.search("'(.{0,100}).*' as a scalar", problems[0])
    raise ModelError(
        f"expected times in ISO 8601 in {column.name!r}, all with an offset or all without, and with at most "
        f"6 decimals, got {match[1] if match else problems[0]!r}"
    )


def _line(error: BaseException) -> str:
    """Return the first line of Arrow's message."""
    return str(error).partition("\n")[0]
