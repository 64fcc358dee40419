"""How fast a log's items change: how old they are when they get their events, and how many are new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import parts_of
from tasks.interactions.events import end_of

DAYS: Final = (1, 7)  # the windows whose items are compared with those before
MINUTE: Final = 60_000_000
_UNITS: Final = (  # minutes, unit, from how many minutes on
    (525_960, "years", 2 * 525_960),
    (10_080, "weeks", 4 * 10_080),
    (1_440, "days", 2 * 1_440),
    (60, "hours", 120),
)


class Turnover(BaseModel):
    """The items of the last days up to the date, compared with those before.

    ``events``: people's events in the window; ``new_events``: those on items without an event
    before the window. ``top``: how many items are called top, 100 or a tenth of the window's items;
    ``kept``: how many of them were among as many in the window before.
    """

    model_config = ConfigDict(extra="forbid")

    days: int
    events: int
    new_events: int
    top: int
    kept: int


class Freshness(BaseModel):
    """How fast the items of a log change, up to a date.

    ``events``: people's events in the last fifth of the log; ``median_minutes``: the median, over
    these events, of the time since the item's first event, in whole minutes. Items of the first
    fifth may be older than the log shows, so their age is censored: where the median depends on
    such ages, it is ``at_least`` this much. ``turnover``: the last day and the last 7 days, each
    only if it has events and the log goes back to the first day of the window before.
    """

    model_config = ConfigDict(extra="forbid")

    events: int
    median_minutes: int
    at_least: bool
    turnover: list[Turnover] = []

    def __str__(self) -> str:
        """Return a sentence about the age of the items."""
        if not self.at_least:
            age = duration(self.median_minutes + 1)  # ages are rounded down
            return f"Half of the last fifth of the events go to items younger than {age}."
        if not self.median_minutes:
            return "The log is too short to tell how old its items are when they get their events."
        age = duration(self.median_minutes)
        return f"Half of the last fifth of the events go to items at least {age} old; the log tells no more."


def duration(minutes: float) -> str:
    """Return a duration in its largest unit of which there are two: 90 minutes, 5.1 hours, 3.0 weeks."""
    for length, unit, least in _UNITS:
        if minutes >= least:
            return f"{minutes / length:.1f} {unit}"
    return "a minute" if minutes == 1 else f"{minutes:.0f} minutes"


def measure_freshness(
    configuration: Configuration, engine: Engine, as_of: date, dataset: Path
) -> Freshness | None:
    """Return how fast the items change, from the dataset on disk; None if no event counts.

    Only people's events that count are read: neither bots', nor those that [dataset] positive
    leaves out. A day is one of the calendar in the source's time zone.
    """
    for part in ("users", "sequences"):
        engine.parquet(part, parts_of(dataset, part))
    engine.materialise("item_minutes", render("dataset/item_minutes"))
    (ages,) = engine.fetch(render("dataset/item_ages")).to_pylist()
    if ages["events"] is None:
        return None
    return Freshness(
        events=ages["events"],
        median_minutes=ages["least_age"] // MINUTE,
        at_least=ages["least_age"] != ages["known_age"],
        turnover=list(_turnover(engine, as_of, configuration.time_zone)),
    )


def _turnover(engine: Engine, as_of: date, zone: str) -> Iterator[Turnover]:
    """Yield the windows that the log can tell about, the shortest first."""

    def end(days: int) -> int:
        return end_of(as_of - timedelta(days=days), zone)

    windows = [{"days": days, "since": end(days), "before": end(2 * days)} for days in DAYS]
    rows = engine.fetch(render("dataset/item_turnover", {"windows": windows})).to_pylist()
    for row in sorted(rows, key=lambda row: int(row["days"])):
        if row.pop("log_start") < end(2 * row["days"] - 1) and row["events"]:
            yield Turnover(**row)
