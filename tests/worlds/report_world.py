"""A night to report: its release or staging, dataset and record, and the parsed page."""

from __future__ import annotations

from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.configuration.configuration import Configuration
from tasks.release.publish import publish
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord, Station
from worlds.release_world import ITEMS, SEEN, USERS, World

FIRST, SECOND = "2026-01-02", "2026-01-03"
COUNTS = {"read": 1010, "accepted": 1006, "excluded": 0, "quarantined": 3, "duplicates": 1}


class Page(HTMLParser):
    """A page's elements with attributes, the cells of its rows, and its text without styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text, self.inside = "", [""]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while tag in self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.inside:
            self.text += data
            if {"td", "th"} & {*self.inside}:
                self.rows[-1][-1] += data

    def row(self, *start: str) -> list[str]:
        """Return the only row whose cells start like this."""
        (match,) = [row for row in self.rows if [cell.strip() for cell in row[: len(start)]] == [*start]]
        return [" ".join(cell.split()) for cell in match]


def metric(model: str, name: str, value: float, k: int = 10, **more: Any) -> dict[str, Any]:
    row = {"model": model, "split": "test", "metric": name, "k": k, "value": value, "users": 4}
    return row | {"ci_low": value - 0.02, "ci_high": value + 0.02} | more


METRICS = [
    metric("als", "ndcg", 0.3456),
    metric("als", "ndcg", 0.45, k=20),
    metric("als", "coverage", 0.6, ci_low=None, ci_high=None),
    metric("popularity", "ndcg", 0.101),
    metric("popularity", "ndcg", 0.12, k=20),
    metric("popularity", "coverage", 0.2, ci_low=None, ci_high=None),
]
MEASURED = {name: [row for row in METRICS if row["model"] == name] for name in ("als", "popularity")}


CHANGED = {
    "as_of": FIRST,
    "model": "als",
    "before": {},
    "after": {"factors": 64},
    "nights": 3,
    "users": 1_200,
}
CHANGED |= {"incumbent": 0.2, "gain": 0.02, "low": 0.01, "high": 0.03, "number": 4}
LEARNED = {"metric": "ndcg@10", "history": [CHANGED]}
JUDGED = {"challenger": 1, "settings": "factors 64 to 90", "nights": 2, "users": 800, "gain": "+0.0010"}
JUDGED |= {"gain, 95 %": "-0.0010 – +0.0030", "evidence": "-1.0 of 3.7", "verdict": "on trial"}


def the_run(**fields: Any) -> RunRecord:
    """Return the record of a finished night."""
    counts = COUNTS | {"rules": {"item_missing": 3}}
    stations = {
        ("interactions", None): {
            "arrived": counts,
            "total": counts,
            "exclude_rules": [],
            "sources_total": {"clicks": counts | {"read": 1000}, "orders": {"read": 10}},
        },
        ("dataset", None): {"users": 4, "items": 8, "events": 6},
        ("eve", None): {"state": LEARNED, "contest": {"model": "als"}, "why": ""},
        ("incumbents", None): {"state": LEARNED, "model": "als", "judged": [JUDGED], "change": "", "why": ""},
        ("measure", "als"): {"metrics": MEASURED["als"], "device": "cpu"},
        ("measure", "popularity"): {"metrics": MEASURED["popularity"]},
        ("recommendations", None): {"by_source": {"als": 11, "popularity": 1}},
        ("release", None): {"active": True},
    }
    finished = [
        Station(kind=kind, model=model, rows=12, seconds=1.5, peak_memory=2**20, facts=facts)
        for (kind, model), facts in stations.items()
    ]
    facts = {"run_id": "r2", "as_of": date.fromisoformat(SECOND), "started_at": "2026-01-04T02:30:00+00:00"}
    return RunRecord(**(facts | {"stations": finished, "state": "published"} | fields))


def write_dataset(world: World, folder: Path, title: str, users: list[str]) -> None:
    """Write the parts of a dataset that a report reads: the world's four users and eight items."""
    events = [2, 1, 2, 1]
    seen = [(USERS.index(u), ITEMS.index(item)) for u in USERS for item in SEEN[u]]
    moments = [datetime(2026, 1, 2, 3, n) for n in range(len(seen))]  # noqa: DTZ001 - UTC, as in the dataset
    tables = {
        "users": {
            "user_index": pa.array(range(4), pa.int32()),
            "user_id": users,
            "events": events,
            "items": events,
            "bot": [False, False, False, True],
        },
        "items": {
            "item_index": pa.array(range(8), pa.int32()),
            "item_id": world.named(ITEMS),
            "title": [f"{title} {item}" for item in ITEMS],
            "events": [3, 2, 1, 0, 0, 0, 0, 0],
        },
        "sequences": {
            "user_index": pa.array([user for user, _ in seen], pa.int32()),
            "item_index": pa.array([item for _, item in seen], pa.int32()),
            "timestamp": pa.array(moments, pa.timestamp("us")),
        },
    }
    for name, columns in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / name / "part.parquet")


def configuration(world: World, **report: Any) -> Configuration:
    source = {"path": "*.csv", "columns": {"user": "u", "item": "i", "timestamp": "t"}}
    content = {"store": {"path": world.store.root}, "source": source, "report": report}
    return Configuration.model_validate(content | {"train": {"models": ("als", "popularity")}})


def make_world(tmp_path: Path) -> World:
    """Return a world with a release of the first date, and staged tables of the second."""
    world = World(tmp_path, text=True)
    world.publish(FIRST, "r1")
    rows = world.tables["recommendations"]
    rows["item_id"][1] = 105  # user 10 gets another item
    rows["source"][11] = "popularity"  # the end of the list of user 40
    world.tables["model_metrics"]["value"][0] = 0.3
    world.stage(SECOND, "r2")
    users = [str(user) for user in USERS]
    write_dataset(world, RunFolder(world.store, SECOND, "r2").dataset, "Title", users)
    return world


def publish_second(world: World) -> str:
    """Publish the release of the second date; return its id."""
    staging = world.stage(SECOND, "r2")
    return publish(world.store, staging, world.audit(staging)).release_id
