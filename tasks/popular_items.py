"""The station `popular_items`: what is popular, by window and segment; and the rankings of the fallback ladder."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from sql.engine import Engine, render
from tasks.configuration import Configuration
from tasks.tables import POPULAR_ITEMS, IdTypes


def id_types(configuration: Configuration) -> IdTypes:
    """Return the Arrow types of the source's ids."""
    types = {"int64": pa.int64(), "string": pa.string()}
    return IdTypes(types[configuration.source.user_id_type], types[configuration.source.item_id_type])


def popular_items(configuration: Configuration, engine: Engine, as_of: date) -> pa.Table:
    """Return the table popular_items, in the order of its key.

    The engine has the relations `events`, `pairs`, `user_totals`, `items` and the attributes; it keeps
    `popular_totals` for the fallback ladder.
    """
    settings = configuration.popular
    windows = [
        {"days": days, "after": f"'{(as_of - timedelta(days=days)).isoformat()}'"} for days in settings.windows
    ]
    engine.view("popular_scores", render("popular_scores", {"windows": windows}))
    segments = {
        "user_segments": [name for name in settings.segments if name in configuration.users.attributes],
        "item_segments": [name for name in settings.segments if name in configuration.items.attributes],
    }
    engine.materialise("popular_totals", render("popular_totals", segments))
    table = engine.fetch(render("popular_items", {"n": settings.n}))
    schema = POPULAR_ITEMS.schema(id_types(configuration))
    ordered = table.select(schema.names).sort_by([(name, "ascending") for name in POPULAR_ITEMS.key])
    return ordered.cast(schema)


def write_ladder(configuration: Configuration, engine: Engine, folder: Path) -> None:
    """Write the rankings that fill what a model cannot, after `popular_items`, under folder/ladder."""
    settings = configuration.popular
    values = {"window": settings.fallback_window, "segment": settings.fallback_segment}
    engine.write(render("ladder", values), folder / "ladder", ["segment", "segment_value", "window_days", "item_index"])
