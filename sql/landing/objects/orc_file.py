"""ORC files as records, row by row: of years beyond those of nanoseconds, too, no other date is made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyorc
from pyorc.converters import ORCConverter

from sql.landing.compression import require_proportion
from sql.landing.landing import RawFile
from sql.landing.objects.records import Records, reading

BATCH = 1024  # rows decoded at a time
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAMAGE = (pyorc.ORCError, ValueError, OSError, ArithmeticError, LookupError, RuntimeError, TypeError)


def open_orc(file: RawFile, limit: int) -> Records:
    """Open an ORC file; a timestamp is local, one "with local time zone" is in UTC.

    Opening and reading raise a SourceError if it is damaged, holds something else than rows of
    columns, or tells of more than `limit` times as many rows as it has bytes.
    """
    with reading(file, "ORC", DAMAGE), file.path.open("rb") as stream:
        reader = pyorc.Reader(stream)
        if not isinstance(reader.schema, pyorc.Struct):
            raise ValueError(f"expected columns, got {str(reader.schema)[:100]}")
        require_proportion(file.name, len(reader), file.path.stat().st_size, limit)
        names = tuple(reader.schema.fields)
    return Records(names, _records(file))


def _records(file: RawFile) -> Iterator[dict[str, Any]]:
    with reading(file, "ORC", DAMAGE), file.path.open("rb") as stream:
        yield from pyorc.Reader(
            stream, batch_size=BATCH, struct_repr=pyorc.StructRepr.DICT, converters=CONVERTERS
        )


class _Instant(ORCConverter):
    """Makes an instant a time in UTC; one beyond the years that Python knows, a text that is no time."""

    @staticmethod
    def from_orc(seconds: int, nanoseconds: int, timezone: Any) -> datetime | str:  # noqa: ARG004
        """Return the time so long after 1970."""
        try:
            return EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
        except OverflowError:
            return f"out of range: {seconds} s"

    @staticmethod
    def to_orc(obj: Any, timezone: Any) -> Any:  # noqa: ARG004
        """Return the object: nothing is written."""
        return obj


class _Local(_Instant):
    """Makes a timestamp, which is that of a clock on some wall, a time without a zone."""

    @staticmethod
    def from_orc(seconds: int, nanoseconds: int, timezone: Any) -> datetime | str:
        """Return the time on the clock."""
        instant = _Instant.from_orc(seconds, nanoseconds, timezone)
        return instant if isinstance(instant, str) else instant.replace(tzinfo=None)


CONVERTERS: dict[pyorc.TypeKind, type[ORCConverter]] = {
    pyorc.TypeKind.TIMESTAMP: _Local,
    pyorc.TypeKind.TIMESTAMP_INSTANT: _Instant,
}
