"""Timestamps of any unit as integer microseconds, the unit of all models; nothing is rounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

Longs = npt.NDArray[np.int64]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
LATEST: Final = 2**63 - 1  # microseconds: later than every event
HINT: Final = "; array.astype('datetime64[us]') rounds them down"


def microseconds(times: Any) -> Longs:
    """Return timestamps as int64 (n,), microseconds since 1970-01-01 UTC.

    ``times`` (n,): datetime64 of any unit in UTC, or integers in microseconds.

    Raises
    ------
    ModelError
        When the type or shape is another, or a value is NaT, not a whole microsecond, or exceeds
        int64.

    Examples
    --------
    >>> microseconds(np.array(["2000-01-01", "2000-01-02"], dtype="datetime64[ms]")).tolist()
    [946684800000000, 946771200000000]
    """
    array = np.asarray(times)
    if array.ndim != 1 or array.dtype.kind not in "Miu":
        raise ModelError(
            "expected timestamps as a one-dimensional array of datetime64 in UTC or of integer "
            f"microseconds, got {array.dtype} {array.shape}"
        )
    if array.dtype.kind == "M":
        return _converted(array)
    if array.dtype == np.uint64 and len(array) and array.max() > LATEST:
        raise ModelError(f"expected timestamps of at most {LATEST} microseconds, got {array.max()}")
    return array.astype(np.int64, copy=False)


def to_microseconds(value: Any) -> int:
    """Return a timestamp in microseconds since 1970-01-01 UTC.

    ``value``: an integer in microseconds, a datetime64 of any unit, or a datetime (UTC if it has no
    zone). ModelError for anything else.
    """
    if isinstance(value, np.datetime64):
        return int(_converted(np.array([value]))[0])
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        value = (aware - EPOCH) // MICROSECOND  # NaN for pandas' NaT
    if (
        isinstance(value, int | np.integer)
        and not isinstance(value, bool)
        and -LATEST <= int(value) <= LATEST
    ):
        return int(value)
    raise ModelError(
        f"expected a timestamp as a datetime, a datetime64 or whole microseconds, got {value!r:.100}"
    )


def _converted(array: npt.NDArray[np.datetime64]) -> Longs:
    missing = np.flatnonzero(np.isnat(array))
    if len(missing):
        raise ModelError(f"expected timestamps without NaT, got one in row {missing[0]} (from 0)")
    whole = array.astype("datetime64[us]")  # wraps out of range: convert back to check
    lost = np.flatnonzero(whole.astype(array.dtype) != array)
    if len(lost):
        unit, first = np.datetime_data(array.dtype)[0], array[lost[0]].astype(np.int64)
        raise ModelError(
            f"expected timestamps of whole microseconds that int64 holds, got {first} {unit} since 1970 in "
            f"row {lost[0]} (from 0)" + (HINT if unit in ("ns", "ps", "fs", "as") else "")
        )
    return whole.astype(np.int64)
