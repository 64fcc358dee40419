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
from tasks.interactions.events import end_of
from tasks.release.tables import POPULAR_ITEMS

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
    ladder = {"window": settings.fallback_window, "segment": settings.fallback_segment}
    order = ["segment", "segment_value", "window_days", "item_index"]
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
    zone, days = configuration.source.time_zone, configuration.popular.windows
    starts = {day: None if day == 0 else end_of(as_of - timedelta(days=day), zone) for day in days}
    windows = [{"days": day, "since": since} for day, since in starts.items()]
    return {"windows": windows, "since": None if 0 in days else starts[max(days)]}
