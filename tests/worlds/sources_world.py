"""Several sources in one store: clicks as Parquet, orders as CSV, ratings as JSON lines."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.configuration.configuration import Configuration
from tasks.interactions.events import make_events
from tasks.interactions.ingest import Ingest, ingest
from tasks.interactions.ledger import Ledger
from tasks.interactions.owners import Owners
from tasks.store.layout import Store

AS_OF = date(2026, 12, 31)
T = "2026-03-01 10:00:00"
CLICKS = {
    "columns": {"user": "user_id", "item": "item_id", "timestamp": "at", "event_type": "kind"},
    "attributes": {"device": "device"},
    "event_weights": {"view": 1, "cart": 2},
    "exclude": [{"name": "bots", "where": "user_id LIKE 'bot%'"}],
}
ORDERS = {
    "columns": {"user": "customer", "item": "sku", "timestamp": "ordered", "value": "price"},
    "timestamp_format": "%d.%m.%Y",
    "delimiter": ";",
    "event_type": "order",
    "event_weights": {"order": 5},
}
RATINGS = {
    "columns": {"user": "who", "item": "what", "timestamp": "when", "value": "stars"},
    "attributes": {"review": "text"},
    "event_type": "rating",
    "event_weights": {"rating": 3},
}
KINDS = {"clicks": CLICKS, "orders": ORDERS, "ratings": RATINGS}


class Sources:
    """A folder of logs for each source, beside a store."""

    def __init__(self, folder: Path, engine: Any) -> None:
        self.folder, self.engine = folder, engine
        self.store = Store(folder / "store").create()

    def file(self, name: str, *lines: str) -> Path:
        """Write a file of lines below the folder, such as orders/a.csv."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def clicks(self, name: str, *rows: tuple[Any, ...]) -> Path:
        columns = ("user_id", "item_id", "at", "kind", "device")
        path = self.file(f"clicks/{name}.parquet")
        texts = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(columns))]
        pq.write_table(pa.table(texts, list(columns)), path)
        return path

    def orders(self, name: str, *rows: str) -> Path:
        return self.file(f"orders/{name}.csv", "customer;sku;ordered;price", *rows)

    def ratings(self, name: str, *rows: dict[str, Any]) -> Path:
        return self.file(f"ratings/{name}.jsonl", *map(json.dumps, rows))

    def source(self, name: str, **keys: Any) -> dict[str, Any]:
        """Return a [[source]] of this name, with the folder of the same name."""
        return {"name": name, "path": str(self.folder / name), **KINDS.get(name, {}), **keys}

    def configuration(self, *sources: dict[str, Any], **sections: Any) -> Configuration:
        """Return a configuration of sources; one without a name is [source]."""
        content = [*sources] if sources[0].get("name") else sources[0]
        return Configuration.model_validate(
            {"source": content, "store": {"path": self.store.root}, **sections}
        )

    def ingest(self, *sources: dict[str, Any], **options: Any) -> Ingest:
        return ingest(self.configuration(*sources), self.store, self.engine, AS_OF, **options)

    def events(self, *sources: dict[str, Any], select: str = "user_id, strength") -> list[tuple[Any, ...]]:
        """Return the events that a dataset starts from, by user, item and type."""
        make_events(self.configuration(*sources), Ledger.read(self.store), self.engine, AS_OF)
        table = self.engine.fetch(f"SELECT {select} FROM events ORDER BY user_id, item_id, event_type")
        return [tuple(row.values()) for row in table.to_pylist()]

    def owners(self, *sources: dict[str, Any]) -> Owners:
        return Owners(self.configuration(*sources), Ledger.read(self.store))
