"""The current time and date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def today(time_zone: str, at: datetime | None = None) -> date:
    """Return the date in a time zone, now or at another time with an offset."""
    zone = ZoneInfo(time_zone)
    return (datetime.now(zone) if at is None else at.astimezone(zone)).date()


def now() -> datetime:
    """Return the current time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
