"""The moment and the day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def today(time_zone: str) -> date:
    """Return the current date in a time zone."""
    return datetime.now(ZoneInfo(time_zone)).date()


def now() -> datetime:
    """Return the time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
