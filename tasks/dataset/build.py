"""The station `dataset`: it turns interactions into users, items, weighted pairs and sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import blocked, id_types
from tasks.dataset.catalogue import CatalogueRows, make_catalogues
from tasks.dataset.parts import parts_of, read, rows
from tasks.interactions.events import double


@dataclass(frozen=True)
class DatasetSummary:
    """Counts of a dataset: users, items, pairs, pairs trained on, events and catalogue rows.

    `products` is the sum of the squared number of items over the users trained on.
    """

    users: int
    items: int
    pairs: int
    trained_pairs: int
    products: int
    events: int
    catalogues: dict[str, CatalogueRows]


def build_dataset(
    configuration: Configuration, engine: Engine, folder: Path, scratch: Path
) -> DatasetSummary:
    """Write users, items, pairs, entries, sequences and attributes as Parquet under `folder`.

    The engine must have the relation `events`.
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
    # a catalogue may have more users than the dataset
    known = "SELECT * FROM user_attributes WHERE id IN (SELECT user_id FROM users)"
    engine.write(known, folder / "user_attributes", order)
    engine.write("SELECT * FROM item_attributes", folder / "item_attributes", order)
    return DatasetSummary(
        users=rows(folder, "users"),
        items=rows(folder, "items"),
        pairs=rows(folder, "pairs"),
        trained_pairs=pc.sum(read(folder, "entries", ["trained"])["trained"]).as_py() or 0,
        products=_products(folder),
        events=pc.sum(read(folder, "pairs", ["events"])["events"]).as_py() or 0,
        catalogues=catalogues,
    )


def _products(folder: Path) -> int:
    users = read(folder, "users", ["items", "trained"])
    items = users.filter(users["trained"])["items"]
    return pc.sum(pc.multiply(items, items)).as_py() or 0


def _number(configuration: Configuration, engine: Engine, folder: Path) -> None:
    """Write users and items with their indices; the engine must have `pairs` and catalogues."""
    limits = configuration.dataset.model_dump(include={"max_user_events", "min_user_items", "min_item_users"})
    for kind in ("user", "item"):
        engine.materialise(f"{kind}_totals", render(f"dataset/{kind}_totals", limits))
        engine.number(f"{kind}s", f"{kind}_totals", f"{kind}_id", f"{kind}_index")
        engine.write(f"SELECT * FROM {kind}s", folder / f"{kind}s", [f"{kind}_index"])
