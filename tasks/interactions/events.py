"""Interactions as weighted events of a date: the view that every table starts from."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.source import EVENT_COLUMNS
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.interactions.forgotten import register_forgotten_users
from tasks.interactions.ledger import Ledger
from tasks.interactions.stored_rows import make_interactions, stored_parts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MICROS = 86_400_000_000


def end_of(day: date, time_zone: str) -> int:
    """Return the end of a day in a time zone, in microseconds since 1970 UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone))
    return (midnight.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def make_events(
    configuration: Configuration, ledger: Ledger, engine: Engine, as_of: date, until: int | None = None
) -> None:
    """Make the relation `events`: all up to the end of `as_of`, and before `until` if given.

    `until` is the start of a holdout, in microseconds since 1970 UTC.
    """
    converted = False
    if stored_parts(configuration, ledger, as_of):
        converted = make_interactions(configuration, ledger, engine, as_of)
    else:
        engine.table("interactions", _no_interactions(configuration))
    weights = configuration.event_weights
    types, strengths = pa.array(list(weights), pa.string()), pa.array(list(weights.values()), pa.float64())
    engine.table("event_weights", pa.table({"event_type": types, "strength": strengths}))
    values = _event_values(configuration, engine, as_of, until)
    values["forgotten"] = register_forgotten_users(engine, ledger.store, "interactions", all_listed=converted)
    engine.view("events", render("dataset/events", {**values, "replaced": sorted(ledger.replaced())}))


def _event_values(
    configuration: Configuration, engine: Engine, as_of: date, until: int | None
) -> dict[str, Any]:
    """Return the values that fill the template `events`."""
    settings = configuration.dataset
    end = end_of(as_of, configuration.time_zone)
    positive, half_life, since = settings.positive, settings.half_life_days, None
    if positive is not None:
        from sql.interactions.predicate import portable

        positive = portable(positive, {*EVENT_COLUMNS, *configuration.attributes}, engine.name, table="i")
    if settings.history_days is not None:
        since = end_of(as_of - timedelta(days=settings.history_days), configuration.time_zone)
    until_micros, repeat_after = (
        end if until is None else min(end, until),
        configuration.top_n.repeat_after_days,
    )
    return {
        "attributes": list(configuration.attributes),
        "positive": positive,
        "event_weights": bool(configuration.event_weights),
        "half_life_micros": None if half_life is None else double(half_life * DAY_MICROS),
        "until_micros": until_micros,
        "since_micros": since,
        "barred_since_micros": repeat_after and until_micros - repeat_after * DAY_MICROS,
    }


def double(number: float) -> str:
    """Return a number as a DOUBLE literal of SQL; both engines read a plain 0.5 as DECIMAL."""
    return f"{number:.17e}"


def _no_interactions(configuration: Configuration) -> pa.Table:
    """Return an empty table of interactions, for the gate to check when no row was accepted."""
    ids = id_types(configuration)
    types = {
        "user_id": ids.user,
        "item_id": ids.item,
        "timestamp": pa.timestamp("us"),
        "event_date": pa.date32(),
        "value": pa.float64(),
        "weight": pa.float64(),
        "position": pa.int64(),
        "file_id": pa.int32(),
        "line": pa.int64(),
    }
    names = [*EVENT_COLUMNS, *configuration.attributes, "file_id", "line"]
    return pa.schema([pa.field(name, types.get(name, pa.string())) for name in names]).empty_table()
