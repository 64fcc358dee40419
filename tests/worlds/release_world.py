"""A world of four users and eight items, small enough to check a release by hand."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.release.audit import Audit, Expectations, audit
from tasks.release.publish import Staging, publish, stage
from tasks.release.releases import Release
from tasks.release.tables import POPULAR_ITEMS, TABLES, IdTypes
from tasks.release.writer import TableWriter
from tasks.runtime.resources import Resources
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder

N = 3
RESOURCES = Resources.of(2**30, 1)
USERS = [10, 20, 30, 40]
ITEMS = [100, 101, 102, 103, 104, 105, 106, 107]  # 107 is unavailable
SEEN = {10: [100, 101], 20: [101], 30: [102, 103], 40: [100]}
TOP = {10: [102, 103, 104], 20: [100, 102, 103], 30: [100, 101, 104], 40: [101, 102, 103]}
FACTS: dict[str, Any] = {
    "code_version": "0.1.0+abc",
    "configuration": {"input": "s3://user:hunter2@bucket/logs", "catalogue": {"password": "hunter2"}},
    "inputs": [{"file": "https://user:hunter2@host:8080/a.csv", "sha256": "00"}],
    "row_accounting": {"read": 7, "accepted": 6, "quarantined": 1},
    "model_metrics": {"als": {"ndcg@10": float("nan")}},
    "warnings": [],
    "devices": {"als": "cpu"},
    "stations": [{"name": "recommendations", "rows": 12, "seconds": 0.1, "peak_bytes": 1}],
}
SCORES: dict[str, list[Any]] = {
    "as_of": [dt.date(2026, 1, 1), dt.date(2026, 1, 1)],
    "segment": ["all", "rank"],
    "segment_value": ["all", "1"],
    "k": [3, 1],
    "scored_as_of": [dt.date(2025, 12, 31)] * 2,
    "first_date": [dt.date(2026, 1, 1)] * 2,
    "users": [4, 3],
    "users_listed": [3, 3],
    "users_judged": [2, 2],
    "users_hit": [1, 1],
    "events": [9, 7],
    "events_listed": [7, 7],
    "events_found": [2, 2],
    "listed_rows": [9, 3],
    "pairs": [5, 5],
    "hits": [1, 1],
    "recall": [0.25, 0.25],
    "ndcg": [0.3, None],
    "ndcg_low": [0.1, None],
    "ndcg_high": [0.5, None],
}


def good_tables() -> dict[str, dict[str, list[Any]]]:
    """Return the tables, column by column, as a release that passes every check."""
    rows = [(user, rank, item) for user in USERS for rank, item in enumerate(TOP[user], 1)]
    users, ranks, items = (list(column) for column in zip(*rows, strict=True))
    return {
        "recommendations": {
            "user_id": users,
            "rank": ranks,
            "item_id": items,
            "score": [1.0 / rank for rank in ranks],
            "source": ["als"] * len(rows),
            "reason_item_id": [SEEN[user][0] if rank == 1 else None for user, rank, _ in rows],
        },
        "similar_items": {
            "item_id": [100, 100, 101],
            "rank": [1, 2, 1],
            "similar_item_id": [101, 102, 100],
            "score": [0.5, 0.25, 0.5],
            "source": ["als"] * 3,
        },
        "popular_items": {
            "segment": ["all", "all", "country", "country"],
            "segment_value": ["all", "all", "DE", "FR"],
            "window_days": [0, 0, 7, 7],
            "rank": [1, 2, 1, 1],
            "item_id": [100, 101, 101, 100],
            "score": [2.0, 1.0, 1.0, 1.0],
            "users": [2, 1, 1, 1],
        },
        "model_metrics": {
            "model": ["als", "popularity"],
            "split": ["test", "test"],
            "metric": ["ndcg", "ndcg"],
            "k": [10, 10],
            "value": [0.2, 0.1],
            "ci_low": [0.1, None],
            "ci_high": [0.3, None],
            "users": [4, 4],
        },
        "release_scores": copy.deepcopy(SCORES),
        "validation_results": {
            "check": ["not_null"],
            "column": ["user_id"],
            "observed": ["0"],
            "threshold": ["0"],
            "passed": [True],
            "rows_failed": [0],
        },
    }


@contextmanager
def whole_days() -> Iterator[None]:
    """Let releases be as they were before windows could be hours: window_days is int32."""
    columns = tuple(
        replace(column, type=pa.int32()) if column.name == "window_days" else column
        for column in POPULAR_ITEMS.columns
    )
    with patch.dict(TABLES, {"popular_items": replace(POPULAR_ITEMS, columns=columns)}):
        yield


@dataclass
class World:
    """A store with a dataset, and the tables to stage; ids are numbers or text."""

    root: Path
    text: bool = False
    tables: dict[str, dict[str, list[Any]]] = field(default_factory=good_tables)

    def __post_init__(self) -> None:
        self.store = Store(self.root / "store").create()
        self.kind = pa.string() if self.text else pa.int64()
        self.ids = IdTypes(self.kind, self.kind)
        self.dataset = self.root / "dataset"
        self.dataset.mkdir(exist_ok=True)
        number = pa.array(range(len(ITEMS)), pa.int32())
        items = {
            "item_index": number,
            "item_id": self.named(ITEMS),
            "title": [None if item == 106 else f"Title {item}" for item in ITEMS],
            "available": [item != 107 for item in ITEMS],
        }
        pq.write_table(pa.table(items), self.dataset / "items.parquet")
        users = {"user_index": pa.array(range(len(USERS)), pa.int32()), "user_id": self.named(USERS)}
        pq.write_table(pa.table(users), self.dataset / "users.parquet")
        pairs = [(USERS.index(user), ITEMS.index(item)) for user in USERS for item in SEEN[user]]
        rows, columns = (pa.array(part, pa.int32()) for part in zip(*pairs, strict=True))
        pq.write_table(
            pa.table({"user_index": rows, "item_index": columns, "barred": [True] * len(rows)}),
            self.dataset / "entries.parquet",
        )

    def named(self, ids: list[Any]) -> Any:
        """Return ids as an array of this world's id type."""
        return pa.array([None if i is None else str(i) if self.text else i for i in ids], self.kind)

    def expectations(self, **changes: Any) -> Expectations:
        """Return the expectations of the audit."""
        paths = [self.dataset / f"{name}.parquet" for name in ("users", "items", "entries")]
        return Expectations(*paths, **({"n": N, "ids": self.ids, "resources": RESOURCES} | changes))

    def write(self, folder: Path, block: int = 1000) -> None:
        """Write the tables, `block` rows at a time."""
        for name, columns in copy.deepcopy(self.tables).items():
            with TableWriter(folder, name, self.ids) as writer:
                arrays = {c: self.named(v) if c.endswith("_id") else v for c, v in columns.items()}
                rows = len(next(iter(columns.values())))
                for start in range(0, rows, block):
                    writer.write({c: values[start : start + block] for c, values in arrays.items()})

    def staging(self, as_of: str, run_id: str) -> Path:
        """Return the staging folder of a run."""
        return RunFolder(self.store, as_of, run_id).staging

    def stage(self, as_of: str = "2026-01-02", run_id: str = "r1", **options: Any) -> Staging:
        """Write and stage a release."""
        self.write(self.staging(as_of, run_id))
        arguments = {"items": self.dataset / "items.parquet", "ids": self.ids, "facts": FACTS}
        return stage(self.store, as_of, run_id, **{"resources": RESOURCES, **arguments, **options})

    def audit(self, staging: Staging, **changes: Any) -> Audit:
        """Audit a staged release."""
        return self.audit_folder(staging.folder, **changes)

    def audit_folder(self, folder: Path, **changes: Any) -> Audit:
        """Audit the tables in a folder."""
        return audit(folder, self.expectations(**changes))

    def publish(self, as_of: str = "2026-01-02", run_id: str = "r1") -> Release:
        """Stage, audit and publish a release."""
        staging = self.stage(as_of, run_id)
        return publish(self.store, staging, self.audit(staging))
