"""The station `popular_items`: popular items by window and segment, and the fallback rankings."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.dataset.parts import parts_of
from tasks.interactions.events import DAY_MICROS, end_of
from tasks.release.tables import POPULAR_ITEMS

HOUR_MICROS = DAY_MICROS // 24
PARTS = ("users", "items", "sequences", "user_attributes", "item_attributes")


def popular_items(configuration: Configuration, engine: Engine, as_of: date, dataset: Path) -> pa.Table:
    """Return the table popular_items, sorted by its key; write the rankings of the fallback ladder.

    Both are computed from the dataset on disk. The rankings, of all items that may be recommended,
    are written to dataset/ladder.
    """
    settings = configuration.popular
    for part in PARTS:
        engine.parquet(part, parts_of(dataset, part))
    windows = _windows(configuration, as_of)
    engine.materialise("window_strengths", render("popular_items/window_strengths", windows))
    engine.view("popular_scores", render("popular_items/popular_scores", windows))
    engine.materialise(
        "popular_totals", render("popular_items/popular_totals", {"segments": _segments(configuration)})
    )
    ladder = {"window": settings.fallback_hours, "segment": settings.fallback_segment}
    order = ["segment", "segment_value", "window_hours", "item_index"]
    engine.write(render("popular_items/ladder", ladder), dataset / "ladder", order)
    table = engine.fetch(render("popular_items/popular_items", {"n": settings.n}))
    schema = POPULAR_ITEMS.schema(id_types(configuration))
    ordered = table.select(schema.names).sort_by([(name, "ascending") for name in POPULAR_ITEMS.key])
    return ordered.cast(schema)


def _segments(configuration: Configuration) -> dict[str, list[str]]:
    """Return the segments by kind: attributes of users, and attributes of items."""
    return {
        kind: [name for name in configuration.popular.segments if name in attributes]
        for kind, attributes in (
            ("user", configuration.users.attributes),
            ("item", configuration.items.attributes),
        )
    }


def _windows(configuration: Configuration, as_of: date) -> dict[str, object]:
    """Return the start of each window and of the longest, in microseconds; None for all time."""
    zone, windows = configuration.time_zone, configuration.popular.window_hours
    starts = {hours: _start(as_of, hours, zone) for hours in windows if hours}
    listed = [{"hours": hours, "since": starts.get(hours)} for hours in windows]
    return {"windows": listed, "since": None if 0 in windows else min(starts.values())}


def _start(as_of: date, hours: int, zone: str) -> int:
    """Return the start of a window that ends with a date, in microseconds since 1970 UTC.

    Whole days are those of the calendar: when clocks change, they have more or fewer than 24 hours.
    """
    if hours % 24:
        return end_of(as_of, zone) - hours * HOUR_MICROS
    return end_of(as_of - timedelta(days=hours // 24), zone)
