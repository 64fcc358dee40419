"""Times and numbers of a column as arrays; values that do not convert exactly are refused."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import ModelError
from models.frames.source import Column
from models.timestamps import microseconds

MOST: Final = 9e12  # the sum of all weights: its millionths fit an int64
LEAST: Final = 1e-6  # the smallest weight above 0: weights are summed in millionths
OFFSET: Final = r"[T ].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
UNITS = ("s", "ms", "us", "ns")
NUMERIC = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_null,  # refused as nulls, with their count
)


def times(column: Column, unit: str | None) -> npt.NDArray[np.int64]:
    """Return a column of times as microseconds since 1970-01-01 UTC, int64 (n_rows,).

    Times are timestamps of any unit (UTC without a zone), dates (midnight), ISO 8601 text, or whole
    numbers of ``unit`` since 1970.

    Raises
    ------
    ModelError
        When a row has no time, or its time is not a whole number of microseconds.
    """
    values = decode(column)
    refuse_nulls(column, "a time", values)
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _to_microseconds(column, values.to_numpy())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _from_counts(column, values, unit)
    if is_text(kind):
        return _from_text(column, values.cast(pa.large_string()))
    raise ModelError(
        f"expected times (timestamps, dates, ISO 8601 or numbers) in {column.name!r}, got {kind}"
    )


def whole_numbers(column: Column) -> npt.NDArray[np.int64]:
    """Return a column of whole numbers, int64 (n_rows,); ModelError names the first bad row."""
    refuse_nulls(column, "a whole number", column.values)
    try:
        return np.array(column.values.cast(pa.int64()).to_numpy())
    except pa.ArrowException as error:
        raise ModelError(f"expected whole numbers in {column.name!r}, got others: {_line(error)}") from error


def numbers(column: Column) -> npt.NDArray[np.float64]:
    """Return a column of finite numbers, float64 (n_rows,); ModelError names the first bad row."""
    kind = column.values.type
    if not any(test(kind) for test in NUMERIC):
        raise ModelError(f"expected numbers in {column.name!r}, got {kind}")
    refuse_nulls(column, "a number", column.values)
    try:
        array = np.array(column.values.cast(pa.float64()).to_numpy())
    except pa.ArrowException as error:
        raise ModelError(
            f"expected numbers that a float64 can hold in {column.name!r}, got others: {_line(error)}"
        ) from error
    refuse_rows(column, ~np.isfinite(array), "finite numbers", array)
    return array


def strengths(column: Column) -> npt.NDArray[np.float64]:
    """Return a column of weights, float64 (n_rows,), each 0 or at least a millionth.

    Raises
    ------
    ModelError
        When a weight is anything else, or the sum in millionths exceeds int64.
    """
    weights = numbers(column)
    refuse_rows(column, weights < 0, "weights of 0 or more", weights)
    refuse_rows(column, (weights > 0) & (weights < LEAST), f"weights of 0, or {LEAST:g} or more,", weights)
    if weights.sum() > MOST:
        raise ModelError(
            f"expected weights of at most {MOST:g} together in {column.name!r}, got {weights.sum():g}"
        )
    return weights


def decode(column: Column) -> Any:
    """Return the values of a column, with categories decoded."""
    kind = column.values.type
    if not pa.types.is_dictionary(kind):
        return column.values
    # views do not support take
    plain = pa.large_string() if is_text(kind.value_type) else kind.value_type
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(plain)).dictionary_decode()
        for chunk in column.values.chunks
    ]
    return pa.chunked_array(chunks, plain)


def is_text(kind: Any) -> bool:
    """Tell whether an Arrow type is one of the three text types."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def refuse_nulls(column: Column, what: str, values: Any) -> None:
    """Raise a ModelError if values are null or NaN, with their count and the first row.

    ``values`` are the decoded values of the column.
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
    """Raise a ModelError if rows are ``wrong`` bool (n_rows,), with count and first row."""
    count = int(wrong.sum())
    if count:
        first = int(np.argmax(wrong))
        more = f", and others in {count - 1} more" if count > 1 else ""
        raise ModelError(
            f"expected {what} in {column.name!r}, got {values[first]} in row {first} (from 0){more}"
        )


def _to_microseconds(column: Column, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    try:
        return np.array(microseconds(values))
    except ModelError as error:
        raise ModelError(f"{column.name!r}: {error}") from None


def _from_counts(column: Column, values: Any, unit: str | None) -> npt.NDArray[np.int64]:
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
    return _to_microseconds(column, counts.astype(f"datetime64[{unit}]"))


def _from_text(column: Column, values: Any) -> npt.NDArray[np.int64]:
    """Parse ISO 8601 times, all with an offset or all without one (UTC)."""
    for zone in (None, "UTC"):
        try:
            return _in_zone(values, zone)
        except pa.ArrowException:
            continue
    zoned = pc.sum(pc.match_substring_regex(values, OFFSET)).as_py() or 0
    row = _first_unparsed(values, "UTC" if 2 * zoned > len(values) else None)
    raise ModelError(
        f"expected times in ISO 8601 in {column.name!r}, all with an offset or all without, and with at most "
        f"6 decimals, got {values[row].as_py()!r:.100} in row {row} (from 0)"
    )


def _in_zone(values: Any, zone: str | None) -> npt.NDArray[np.int64]:
    return np.array(values.cast(pa.timestamp("us", zone)).cast(pa.int64()).to_numpy())


def _first_unparsed(values: Any, zone: str | None) -> int:
    """Return the first row that cannot be parsed with an offset (zone UTC) or without (None)."""
    low, high = 0, len(values)  # rows below low parse; a row below high does not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _in_zone(values.slice(low, middle - low), zone)
            low = middle
        except pa.ArrowException:
            high = middle
    return low


def _line(error: BaseException) -> str:
    """Return the first line of Arrow's message."""
    return str(error).partition("\n")[0]
