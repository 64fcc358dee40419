"""Small sources for tests of the ingest: files, a configuration, and the resulting store."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from tasks.configuration.configuration import Configuration
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.store.layout import Store

COLUMNS = {"user": "user", "item": "item", "timestamp": "time"}
AS_OF = date(2026, 12, 31)


class Logs:
    """A folder of logs next to a store, ingested by an engine."""

    def __init__(self, folder: Path, engine, **source) -> None:
        self.folder, self.engine = folder / "logs", engine
        self.folder.mkdir(parents=True)
        self.store = Store(folder / "store").create()
        self.source = {"path": str(self.folder), "columns": COLUMNS, **source}

    def write(self, name: str, *lines: str, header: str = "user,item,time") -> Path:
        path = self.folder / name
        path.write_text("".join(line + "\n" for line in (header, *lines)), encoding="utf-8")
        return path

    def configuration(self, **source) -> Configuration:
        return Configuration.model_validate(
            {"source": {**self.source, **source}, "store": {"path": self.store.root}}
        )

    def ingest(self, as_of: date = AS_OF, *, replace_changed=False, rebuild=False, **source):
        return ingest(
            self.configuration(**source),
            self.store,
            self.engine,
            as_of,
            replace_changed=replace_changed,
            rebuild=rebuild,
        )

    def rows(self, columns: str = "user_id, item_id, timestamp") -> list[tuple]:
        """Return the live interactions, sorted by file and line."""
        ledger = Ledger.read(self.store)
        paths = [str(path) for path in ledger.parts()]
        if not paths:
            return []
        replaced = ", ".join(map(str, [0, *ledger.replaced()]))
        query = f"FROM read_parquet({paths}, hive_partitioning = false, union_by_name = true)"
        return duckdb.sql(
            f"SELECT {columns} {query} WHERE file_id NOT IN ({replaced}) ORDER BY file_id, line"
        ).fetchall()

    def quarantine(self, columns: str = "line, rule") -> list[tuple]:
        paths = [
            str(self.store.root / path) for m in Ledger.read(self.store).manifests for path in m.quarantine
        ]
        if not paths:
            return []
        return duckdb.sql(f"SELECT {columns} FROM read_parquet({paths}) ORDER BY file_id, line").fetchall()

    def counts(self):
        return Ledger.read(self.store).counts()
