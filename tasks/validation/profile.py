"""The figures that the gate checks, computed by SQL; they hold no values of events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from statistics import median

from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.interactions.events import end_of
from tasks.runtime.errors import ConfigurationError

ALWAYS_FILLED = ("event_date", "item_id", "timestamp", "user_id")
"""Columns that every interaction must have: the row rules leave no null in them."""
OPTIONAL = ("event_type", "value", "weight", "session_id", "position")


@dataclass(frozen=True)
class Volume:
    """Number of events of the date, and of the earlier days to compare it with, oldest first."""

    on_as_of: int
    earlier: tuple[int, ...]

    @property
    def median(self) -> float | None:
        """The median of the earlier days; None without any."""
        return float(median(self.earlier)) if self.earlier else None


@dataclass(frozen=True)
class Profile:
    """Counts of the events up to a date: in total, by day and, if configured, by event type."""

    figures: dict[str, int]
    days: dict[str, int]
    event_types: dict[str, int]

    def volume(self, as_of: date, days: int) -> Volume:
        """Return the volume of `as_of` and of the last `days` earlier days with events."""
        today = as_of.isoformat()
        earlier = [events for day, events in sorted(self.days.items()) if day < today]
        return Volume(self.days.get(today, 0), tuple(earlier[-days:]))


def make_profile(configuration: Configuration, engine: Engine, as_of: date) -> Profile:
    """Return the profile of the engine's relation `events`.

    Raises
    ------
    ConfigurationError
        If [gate] names an unknown column, or limits values although no value column is mapped.
    """
    _check_columns(configuration)
    gate = configuration.gate
    values = {
        "until_micros": end_of(as_of, configuration.time_zone),
        "nullable": sorted({*ALWAYS_FILLED, *gate.max_null_share}),
        "min_value": gate.min_value,
        "max_value": gate.max_value,
    }
    row = engine.fetch(render("validation/profile", values)).to_pylist()[0]
    types = _by(engine, "validation/profile_event_types", "event_type") if configuration.event_weights else {}
    figures = {name: int(value) for name, value in row.items()}
    return Profile(figures, _by(engine, "validation/profile_days", "event_date"), types)


def _check_columns(configuration: Configuration) -> None:
    gate = configuration.gate
    known = (*ALWAYS_FILLED, *OPTIONAL, *configuration.attributes)
    for name in gate.max_null_share:
        if name not in known:
            raise ConfigurationError(
                f"gate.max_null_share: unknown column {name!r}; known: {', '.join(sorted(known))}"
            )
    valued = any(source.columns.value is not None for source in configuration.sources)
    if not valued and (gate.min_value, gate.max_value) != (None, None):
        raise ConfigurationError(
            "gate.min_value and gate.max_value need source.columns.value = the column with the value"
        )


def _by(engine: Engine, stem: str, column: str) -> dict[str, int]:
    return {str(row[column]): int(row["events"]) for row in engine.fetch(render(stem)).to_pylist()}
