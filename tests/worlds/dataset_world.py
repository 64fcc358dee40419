"""A small shop: logs, catalogues and a configuration that an engine builds into a dataset."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.options import TrainingOptions
from tasks.configuration.configuration import Configuration
from tasks.dataset.build import build_dataset
from tasks.dataset.parts import read
from tasks.interactions.events import make_events
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.recommendations.popular_items import popular_items
from tasks.store.layout import Store
from tasks.training.artefacts import TrainedModel, fit

HEADER = ("user", "item", "time", "type", "value", "weight", "position", "colour", "session")
SOURCE = {
    "columns": {
        "user": "user",
        "item": "item",
        "timestamp": "time",
        "event_type": "type",
        "value": "value",
        "weight": "weight",
        "position": "position",
        "session": "session",
    },
    "attributes": {"colour": "colour"},
}
AS_OF = date(2026, 3, 10)
PARTS = ("users", "items", "entries", "sequences", "user_attributes", "item_attributes", "ladder")


class Shop:
    """Logs in a folder next to a store; `sections` are sections of the configuration."""

    def __init__(self, folder: Path, engine, /, **sections) -> None:
        self.folder, self.engine, self.sections = folder, engine, sections
        self.store = Store(folder / "store").create()
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def log(self, *rows, name: str = "a.csv") -> None:
        """Write a log file: a row is user, item, time and a dictionary of further columns of HEADER."""
        lines = [",".join(HEADER)]
        for session, row in enumerate(rows):  # a different session per row, so that none is a duplicate
            values = dict(zip(HEADER, row[:3], strict=False)) | {"session": f"{name} {session}"}
            values |= row[3] if len(row) > 3 else {}
            lines.append(",".join(str(values.get(column, "")) for column in HEADER))
        (self.folder / "logs" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def file(self, name: str, *lines: str) -> str:
        """Write a catalogue and return its path."""
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    def configuration(self, **sections) -> Configuration:
        content = {name: dict(value) for name, value in self.sections.items()}
        for name, value in sections.items():
            content[name] = content.get(name, {}) | value
        content["source"] = {"path": str(self.folder / "logs"), **SOURCE, **content.get("source", {})}
        content["store"] = {"path": self.store.root}
        return Configuration.model_validate(content)

    def ingest(self, as_of: date = AS_OF, **sections):
        return ingest(self.configuration(**sections), self.store, self.engine, as_of)

    def build(
        self, as_of: date = AS_OF, until: int | None = None, name: str = "dataset", **sections
    ) -> Built:
        """Ingest the logs, and build dataset and popularity."""
        configuration = self.configuration(**sections)
        ingest(configuration, self.store, self.engine, as_of)
        make_events(configuration, Ledger.read(self.store), self.engine, as_of, until=until)
        folder = self.folder / name
        summary = build_dataset(configuration, self.engine, folder, self.folder / "scratch")
        popular = popular_items(configuration, self.engine, as_of, folder)
        return Built(configuration, folder, summary, popular)


class Built:
    """A dataset on disk."""

    def __init__(self, configuration: Configuration, folder: Path, summary, popular: pa.Table) -> None:
        self.configuration, self.folder = configuration, folder
        self.summary, self.popular_table = summary, popular

    def rows(self, part: str, *columns: str) -> list:
        """Return rows as tuples, or plain values of a single column."""
        return plain(read(self.folder, part), *columns)

    def popular(self, *columns: str, **where) -> list:
        """Return rows of popular_items where columns have values."""
        table = self.popular_table
        for column, value in where.items():
            table = table.filter(pa.compute.equal(table[column], value))
        return plain(table, *columns)

    def train(self, model: str, name: str = "model") -> Path:
        return train(self.configuration, model, self.folder, self.folder.parent / name).folder


def train(configuration: Configuration, name: str, dataset: Path, folder: Path) -> TrainedModel:
    """Train a model in this process, as a night's child process does."""
    section, threads = configuration.train, configuration.resources.threads
    options = TrainingOptions(device=section.device, seed=section.seed, threads=threads)
    return fit(name, configuration.settings_of(name), dataset, folder, options)


def plain(table: pa.Table, *columns: str) -> list:
    """Return rows as tuples, or the values of a single column; timestamps lose their zone."""
    names = columns or table.column_names
    values = []
    for name in names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us"))
        values.append(column.to_pylist())
    return values[0] if len(columns) == 1 else list(zip(*values, strict=True))


def parquet_rows(paths: list[Path], *columns: str) -> list:
    """Return the rows of Parquet files, in their order."""
    return [row for path in paths for row in plain(pq.ParquetFile(path).read(), *columns)]
