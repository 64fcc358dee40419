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
from tasks.dataset.catalogue import make_catalogues
from tasks.dataset.catalogue_files import CatalogueRows
from tasks.dataset.matches import Matches, match_ids
from tasks.dataset.parts import parts_of, read, rows
from tasks.interactions.events import double


@dataclass(frozen=True)
class DatasetSummary:
    """Counts of a dataset: users, items, pairs, pairs trained on, events and catalogue rows.

    `products` is the sum of the squared number of items over the users trained on. `matches` says
    how the catalogues (items, users) and blocked_items fit the logs.
    """

    users: int
    items: int
    pairs: int
    trained_pairs: int
    products: int
    events: int
    catalogues: dict[str, CatalogueRows]
    matches: dict[str, Matches]


def build_dataset(
    configuration: Configuration, engine: Engine, folder: Path, scratch: Path
) -> DatasetSummary:
    """Write users, items, pairs, entries, sequences and attributes as Parquet under `folder`.

    The engine must have the relation `events`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    engine.table("blocked_items", _blocked_table(configuration))
    catalogues = make_catalogues(configuration, engine, scratch)
    engine.write(render("dataset/pairs"), folder / "pairs")
    engine.parquet("pairs", parts_of(folder, "pairs"))
    _number(configuration, engine, folder)
    matches = _matches(configuration, engine, catalogues)
    entries = render("dataset/entries", {"alpha": double(configuration.dataset.alpha)})
    engine.write(entries, folder / "entries", ["user_index", "item_index"])
    order = ["user_index", "timestamp", "position", "file_id", "line", "item_index"]
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
        matches=matches,
    )


def _products(folder: Path) -> int:
    users = read(folder, "users", ["items", "trained"])
    items = users.filter(users["trained"])["items"]
    return pc.sum(pc.multiply(items, items)).as_py() or 0


def _blocked_table(configuration: Configuration) -> pa.Table:
    ids, texts = blocked(configuration, id_types(configuration).item), configuration.top_n.blocked_items
    text_of = dict(zip(ids.to_pylist(), map(str, texts), strict=True))
    return pa.table(
        {"id": pa.array(list(text_of), ids.type), "id_text": pa.array(text_of.values(), pa.string())}
    )


def _matches(
    configuration: Configuration, engine: Engine, catalogues: dict[str, CatalogueRows]
) -> dict[str, Matches]:
    lists = {"items": ("item", "item_catalogue", "item_rows", configuration.item_id_type)}
    lists |= {"users": ("user", "user_catalogue", "user_rows", configuration.user_id_type)}
    lists = {name: lists[name] for name in catalogues}
    lists |= {"blocked_items": ("item", "blocked_items", "blocked_items", configuration.item_id_type)}
    return {name: match_ids(engine, *where) for name, where in lists.items()}


def _number(configuration: Configuration, engine: Engine, folder: Path) -> None:
    """Write users and items with their indices; the engine must have `pairs` and catalogues."""
    limits = configuration.dataset.model_dump(include={"max_user_events", "min_user_items", "min_item_users"})
    for kind in ("user", "item"):
        values = limits | {"only": configuration.items.only}
        engine.materialise(f"{kind}_totals", render(f"dataset/{kind}_totals", values))
        engine.number(f"{kind}s", f"{kind}_totals", f"{kind}_id", f"{kind}_index")
        engine.write(f"SELECT * FROM {kind}s", folder / f"{kind}s", [f"{kind}_index"])
