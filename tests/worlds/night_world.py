"""A small shop for tests of whole nights: generated logs, a quick configuration, its store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flows.night.retries import run_directly
from tasks.configuration.configuration import Configuration, load
from tasks.demo.logs import write_demo_logs
from tasks.release.pointer import read_pointer
from tasks.release.releases import releases
from tasks.store.files import sha256_of
from tasks.store.layout import Store
from tasks.store.run_folder import record_paths
from tasks.store.runs import RunRecord, read_record

FIRST = date(2026, 3, 2)
SECOND = FIRST + timedelta(days=1)
THIRD = FIRST + timedelta(days=2)
QUICK: dict[str, Any] = {
    "train__models": ["popularity"],
    "evaluation__enabled": False,
    "quality__enabled": False,
}
"""For tests that work with any model: each training is a process of half a second or more."""
MODELS = 'models = ["popularity", "recent_popularity"]\nserve = "popularity"'
ALS = 'models = ["als", "popularity"]\nserve = "als"'
"""A personal model for tests that need one: its process takes over twice as long to start."""
TABLES = (
    "recommendations",
    "similar_items",
    "popular_items",
    "model_metrics",
    "release_scores",
    "validation_results",
)

TEXT = """
[store]
path = "{store}"
[engine]
memory = "1GiB"
threads = 1
[source]
path = "{logs}/events-*.csv"
file_date = "%Y-%m-%d"
event_weights = {{ view = 1.0, cart = 3.0, purchase = 5.0 }}
[source.columns]
user = "user_id"
item = "item_id"
timestamp = "event_time"
event_type = "event_type"
session = "session_id"
[items]
path = "{logs}/items.csv"
id = "item_id"
title = "title"
attributes = {{ category = "category" }}
[users]
path = "{logs}/users.csv"
id = "user_id"
attributes = {{ country = "country" }}
[top_n]
n = 6
similar = 4
[popular]
n = 20
windows = [1, 7, 0]
segments = ["country", "category"]
fallback_window = 7
fallback_segment = "country"
[train]
challengers = 0
{models}
[evaluation]
ks = [5]
[report]
enabled = false
[models.als]
factors = 8
iterations = 3
"""

STATIONS = [
    "interactions",
    "validation_results",
    "dataset",
    "release_scores",
    "popular_items",
    "holdout",
    "measure popularity",
    "measure recent_popularity",
    "train popularity",
    "recommendations",
    "similar_items",
    "quality",
    "release",
]
"""The stations of a night that measures two models and trains the served model."""


@dataclass(frozen=True)
class Night:
    """A configuration file, the logs it names, and its store."""

    folder: Path
    logs: Path

    @property
    def config(self) -> Path:
        return self.folder / "nightshelf.toml"

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    def configured(self, **overrides: Any) -> Configuration:
        """Return the configuration; `top_n__n=5` replaces the key n in [top_n]."""
        return load(self.config, {key.replace("__", "."): value for key, value in overrides.items()})

    def copy(self, folder: Path) -> Night:
        """Return another store with the same content, for the same logs."""
        copied = shop(folder, self.logs)
        shutil.copytree(self.store.root, copied.store.root)
        return copied

    def pointed(self) -> str | None:
        """Return the id of the active release."""
        pointer = read_pointer(self.store)
        return pointer.release_id if pointer else None

    def published(self) -> list[str]:
        """Return the ids of all releases."""
        return sorted(release.release_id for release in releases(self.store))

    def hashes(self, release_id: str) -> dict[str, str]:
        """Return the hash of each table of a release."""
        folder = self.store.release(release_id)
        return {name: sha256_of(folder / f"{name}.parquet") for name in TABLES}

    def records(self) -> list[RunRecord]:
        """Return the records of the runs on disk, oldest first."""
        return [read_record(path) for path in record_paths(self.store)]

    def scratch(self) -> list[Path]:
        """Return the scratch files that engines and ingests left behind."""
        return sorted(self.store.runs.glob(".*")) + sorted(self.store.root.glob(".*.tmp"))


@contextmanager
def unchanged(night: Night) -> Iterator[None]:
    """Assert that readers see no change: pointer, releases, and bytes of the tables."""
    before = night.pointed(), night.published(), night.hashes(str(night.pointed()))
    yield
    assert (night.pointed(), night.published(), night.hashes(str(night.pointed()))) == before


def shop(folder: Path, logs: Path, text: str = TEXT, models: str = MODELS) -> Night:
    """Write a configuration into a folder; `models` are lines of its section [train]."""
    folder.mkdir(parents=True, exist_ok=True)
    night = Night(folder, logs)
    night.config.write_text(text.format(store=night.store.root, logs=logs, models=models), encoding="utf-8")
    return night


def write_logs(folder: Path, start: date = FIRST, days: int = 4) -> Path:
    """Write a few days of a small shop's logs."""
    write_demo_logs(folder, start=start, days=days, users=60, items=40, events_per_day=200, seed=11)
    return folder


def failing_at(station: str, failure: BaseException) -> Callable[..., Any]:
    """Return a step that fails inside a station, after its work is done."""

    def step(name: str, work: Callable[[], Any]) -> Any:
        result = run_directly(name, work)
        if name == station:
            raise failure
        return result

    return step
