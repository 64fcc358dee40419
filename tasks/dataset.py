"""The station `dataset`: interactions in; users, items, the sparse matrix and the sequences out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from sql.engines.engine import Engine
from sql.engines.text import render
from sql.interactions.predicate import portable
from sql.source import EVENT_COLUMNS
from tasks.catalogue import CatalogueRows, make_catalogues
from tasks.configuration import Configuration
from tasks.dataset_files import parts_of, read, rows
from tasks.errors import InputError
from tasks.forgotten import keep_out
from tasks.ingest_ledger import Ledger
from tasks.tables import IdTypes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MICROS = 86_400_000_000


@dataclass(frozen=True)
class DatasetSummary:
    """What a dataset holds: users, items, pairs, those trained on, events, and what catalogues said."""

    users: int
    items: int
    pairs: int
    trained_pairs: int
    events: int
    catalogues: dict[str, CatalogueRows]


def id_types(configuration: Configuration) -> IdTypes:
    """Return the Arrow types of the source's ids."""
    types = {"int64": pa.int64(), "string": pa.string()}
    return IdTypes(types[configuration.source.user_id_type], types[configuration.source.item_id_type])


def end_of(day: date, time_zone: str) -> int:
    """Return the end of a day in a time zone (midnight of the next), in microseconds since 1970 UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone))
    return (midnight.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def make_events(
    configuration: Configuration, ledger: Ledger, engine: Engine, as_of: date, until: int | None = None
) -> None:
    """Make the relation `events`: what happened up to the end of `as_of`, and before `until` if it is given.

    `until` is in microseconds since 1970 UTC: the cut of a holdout.
    """
    parts = ledger.parts((None, as_of.isoformat()))
    if parts:
        engine.parquet("interactions", parts)
    else:
        engine.table("interactions", _no_interactions(configuration))
    weights = configuration.source.event_weights
    types, strengths = pa.array(list(weights), pa.string()), pa.array(list(weights.values()), pa.float64())
    engine.table("event_weights", pa.table({"event_type": types, "strength": strengths}))
    values = _event_values(configuration, engine, as_of, until)
    values["forgotten"] = keep_out(engine, ledger.store, "interactions")
    engine.view("events", render("dataset/events", {**values, "replaced": sorted(ledger.replaced())}))


def _event_values(
    configuration: Configuration, engine: Engine, as_of: date, until: int | None
) -> dict[str, Any]:
    """Return what the template `events` is filled with, for all of the interactions."""
    settings, source = configuration.dataset, configuration.source
    end = end_of(as_of, source.time_zone)
    positive, half_life, since = settings.positive, settings.half_life_days, None
    if positive is not None:
        positive = portable(positive, {*EVENT_COLUMNS, *source.attributes}, engine.name, table="i")
    if settings.history_days is not None:
        since = end_of(as_of - timedelta(days=settings.history_days), source.time_zone)
    return {
        "attributes": list(source.attributes),
        "positive": positive,
        "event_weights": bool(source.event_weights),
        "half_life_micros": None if half_life is None else double(half_life * DAY_MICROS),
        "until_micros": end if until is None else min(end, until),
        "since_micros": since,
    }


def double(number: float) -> str:
    """Return a number as an SQL literal that both engines read as DOUBLE: 0.5 alone is a DECIMAL to them."""
    return f"{number:.17e}"


def _no_interactions(configuration: Configuration) -> pa.Table:
    """Return interactions of nobody: what the gate judges where nothing was accepted."""
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
    names = [*EVENT_COLUMNS, *configuration.source.attributes, "file_id", "line"]
    return pa.schema([pa.field(name, types.get(name, pa.string())) for name in names]).empty_table()


def build_dataset(
    configuration: Configuration, engine: Engine, folder: Path, scratch: Path
) -> DatasetSummary:
    """Write users, items, entries, sequences and attributes as Parquet under `folder`.

    The engine has the relation `events`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    engine.table("blocked_items", pa.table({"item_id": blocked(configuration, id_types(configuration).item)}))
    catalogues = make_catalogues(configuration, engine, scratch)
    engine.write(render("dataset/pairs"), folder / "pairs")
    engine.parquet("pairs", parts_of(folder, "pairs"))
    _number(configuration, engine, folder)
    entries = render("dataset/entries", {"alpha": double(configuration.dataset.alpha)})
    engine.write(entries, folder / "entries", ["user_index", "item_index"])
    order = ["user_index", "timestamp", "position", "file_id", "line"]
    engine.write(render("dataset/sequences"), folder / "sequences", order)
    order = ["name", "id", "value"]
    known = (
        "SELECT * FROM user_attributes WHERE id IN (SELECT user_id FROM users)"  # not all of a catalogue's
    )
    engine.write(known, folder / "user_attributes", order)
    engine.write("SELECT * FROM item_attributes", folder / "item_attributes", order)
    return DatasetSummary(
        users=rows(folder, "users"),
        items=rows(folder, "items"),
        pairs=rows(folder, "pairs"),
        trained_pairs=pc.sum(read(folder, "entries", ["trained"])["trained"]).as_py() or 0,
        events=pc.sum(read(folder, "pairs", ["events"])["events"]).as_py() or 0,
        catalogues=catalogues,
    )


def _number(configuration: Configuration, engine: Engine, folder: Path) -> None:
    """Write users and items with their indices; the engine has `pairs` and the catalogues."""
    limits = configuration.dataset.model_dump(include={"max_user_events", "min_user_items", "min_item_users"})
    for kind in ("user", "item"):
        engine.materialise(f"{kind}_totals", render(f"dataset/{kind}_totals", limits))
        engine.number(f"{kind}s", f"{kind}_totals", f"{kind}_id", f"{kind}_index")
        engine.write(f"SELECT * FROM {kind}s", folder / f"{kind}s", [f"{kind}_index"])


def blocked(configuration: Configuration, id_type: pa.DataType) -> pa.Array:
    """Return the block list as ids of the type of the logs."""
    items = configuration.top_n.blocked_items
    kind = int if id_type == pa.int64() else str
    try:
        return pa.array([kind(item) for item in items], id_type)
    except (ValueError, OverflowError) as error:
        raise InputError(f"top_n.blocked_items: expected ids of type {id_type}: {error}") from None
