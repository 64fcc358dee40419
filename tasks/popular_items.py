"""The station `popular_items`: what is popular, by window and segment; and rankings to fall back on."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from sql.engine import Engine, render
from tasks.configuration import Configuration
from tasks.dataset import id_types, parts_of
from tasks.tables import POPULAR_ITEMS

PARTS = {
    "pairs": "pairs",
    "user_totals": "users",
    "items": "items",
    "user_attributes": "user_attributes",
    "item_attributes": "item_attributes",
}


def popular_items(configuration: Configuration, engine: Engine, as_of: date, dataset: Path) -> pa.Table:
    """Return the table popular_items, in the order of its key; write the rankings of the fallback ladder.

    The engine has the relation `events`. The rankings, of every item that may be recommended, go to
    dataset/ladder.
    """
    settings = configuration.popular
    for relation, part in PARTS.items():
        engine.parquet(relation, parts_of(dataset, part))
    windows = [{"days": days, "after": f"'{as_of - timedelta(days=days)}'"} for days in settings.windows]
    engine.materialise("popular_scores", render("popular_scores", {"windows": windows}))
    segments = {
        "user_segments": [name for name in settings.segments if name in configuration.users.attributes],
        "item_segments": [name for name in settings.segments if name in configuration.items.attributes],
    }
    engine.materialise("popular_totals", render("popular_totals", segments))
    ladder = {"window": settings.fallback_window, "segment": settings.fallback_segment}
    order = ["segment", "segment_value", "window_days", "item_index"]
    engine.write(render("ladder", ladder), dataset / "ladder", order)
    table = engine.fetch(render("popular_items", {"n": settings.n}))
    schema = POPULAR_ITEMS.schema(id_types(configuration))
    ordered = table.select(schema.names).sort_by([(name, "ascending") for name in POPULAR_ITEMS.key])
    return ordered.cast(schema)
