"""What a person wants to see of a run, from its record and store: rows, checks, metrics, samples, costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from tasks.interactions.account import Counts
from tasks.interactions.late_events import LateEvents
from tasks.release.main_metrics import main_metrics
from tasks.release.releases import Release, open_release, release_before
from tasks.store.files import readable
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, measured_metrics

Row = dict[str, Any]
KEYS: Final = ("model", "split", "metric", "k")
DIGITS: Final = 4  # of a metric, and of its change
SHOWN: Final = 5  # rows of each sampled list
OUTCOMES: Final = ("accepted", "excluded", "quarantined", "duplicates")


def accounting_rows(record: RunRecord) -> list[Row]:
    """Return the row accounting of the files taken in by this run and of all files so far, by rule.

    The last row is what the sum does not explain: 0. No rows where the run did not come so far.
    """
    if not record.finished("interactions"):
        return []
    facts = record.station("interactions").facts
    accounts = {
        "this run": Counts.model_validate(facts["arrived"]),
        "all so far": Counts.model_validate(facts["total"]),
    }

    def row(name: str, rule: str, values: Iterable[int]) -> Row:
        return {"outcome": name, "rule": rule} | dict(zip(accounts, values, strict=True))

    found = [row("read", "", (counts.read for counts in accounts.values()))]
    for outcome in OUTCOMES:
        found.append(row(outcome, "", (getattr(counts, outcome) for counts in accounts.values())))
        found += [
            row(outcome, rule, (counts.rules.get(rule, 0) for counts in accounts.values()))
            for rule in _rules(accounts["all so far"], outcome, facts["exclude_rules"])
        ]
    return [*found, row("unaccounted for", "", (counts.residual() for counts in accounts.values()))]


def late_events_of(record: RunRecord) -> LateEvents:
    """Return what the run found late, with the dates to run again; nothing where it did not come so far."""
    facts = record.station("interactions").facts if record.finished("interactions") else {}
    return LateEvents.model_validate(facts.get("late", {}))


def check_rows(store: Store, record: RunRecord) -> list[Row]:
    """Return every check of the gate, those that failed first; none where the run did not come so far."""
    folders = [record.folder(store).staging]
    if record.release_id:
        folders.insert(0, store.release(record.release_id))
    paths = [folder / "validation_results.parquet" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return []
    with pq.ParquetFile(path) as file:
        checks = file.read().to_pylist()
    rows = [
        {
            "check": one["check"],
            "column": one["column"],
            "result": "✓ passed" if one["passed"] else "✗ failed",
            "observed": one["observed"],
            "threshold": one["threshold"],
            "rows failed": one["rows_failed"],
        }
        for one in checks
    ]
    return sorted(rows, key=lambda row: row["result"] != "✗ failed")  # stable: else by check and column


def quality_rows(record: RunRecord) -> list[Row]:
    """Return every check of the quality gate, those that failed first; none where it did not come so far."""
    rows = [
        {
            "check": row["check"],
            "observed": row["observed"],
            "bound": row["bound"],
            "result": "✓ passed" if row["passed"] else "✗ failed",
        }
        for row in record.quality
    ]
    return sorted(rows, key=lambda row: row["result"] != "✗ failed")


def data_docs(store: Store, record: RunRecord) -> Path | None:
    """Return the first of the pages about the gate, None where the run did not write them."""
    index = record.folder(store).data_docs / "index.html"
    return index if index.is_file() else None


def compared_with(store: Store, record: RunRecord) -> str | None:
    """Return the id of the release that a run is compared with: its gate's own, or by the gate's rule."""
    if record.compared_with != "":
        return record.compared_with
    before = release_before(store, record.as_of)
    return before.release_id if before else None


def kept_release(store: Store, release_id: str | None) -> Release | None:
    """Return a release, None where it was removed meanwhile; StoreError when it is damaged."""
    if release_id is None or not store.release(release_id).is_dir():
        return None
    return open_release(store, release_id)


def metrics_of(release: Release | None) -> list[Row]:
    """Return the rows of a release's model_metrics; none for None."""
    if release is None:
        return []
    with pq.ParquetFile(release.table("model_metrics")) as file:
        return list(file.read().to_pylist())


def metric_rows(record: RunRecord, before: Iterable[Mapping[str, Any]] = ()) -> list[Row]:
    """Return every metric that the run measured, with its change against the same one of `before`.

    Only like is compared with like: the same model, split, metric and k. `change` is text: an arrow and the
    difference, `=` where the figures shown are equal, empty where there is nothing to compare with.
    """
    earlier = {_key(row): float(row["value"]) for row in before}
    rows = []
    for row in measured_metrics(record):
        old, value = earlier.get(_key(row)), float(row["value"])
        facts = {name: row[name] for name in KEYS} | {"value": round(value, DIGITS)}
        rows.append(
            facts | {"before": None if old is None else round(old, DIGITS), "change": change(value, old)}
        )
    return rows


def compared_metrics(store: Store, record: RunRecord) -> list[Row]:
    """Return every metric that the run measured, with its change against the release compared with."""
    before = kept_release(store, compared_with(store, record))
    return metric_rows(record, metrics_of(before))


def change(value: float, before: float | None) -> str:
    """Return `↑ +0.0123`, `↓ -0.0123` or `=`; nothing where there was nothing before."""
    if before is None:
        return ""
    difference = round(round(value, DIGITS) - round(before, DIGITS), DIGITS)
    if difference == 0:
        return "="
    return f"{'↑' if difference > 0 else '↓'} {difference:+.{DIGITS}f}"


def main_metric_rows(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the main metrics with their changes, a row a model; `rows` are those of `metric_rows`."""
    return main_metrics(rows, lambda row: f"{row['value']:.{DIGITS}f} {row['change']}".strip())


def sample_rows(store: Store, record: RunRecord, number: int = 3) -> list[Row]:
    """Return the first recommendations of a user with many events, one with a middle number, one with few.

    Of at most `number` of them; which users is settled by their number of events, then their id. None where
    nothing was published.
    """
    from tasks.release.query import recommendations_of

    if record.release_id is None:
        return []
    rows: list[Row] = []
    for kind, user, events in sampled_users(record.folder(store).dataset)[:number]:
        found = recommendations_of(store, str(user), record.release_id).slice(0, SHOWN).to_pylist()
        history = f"{kind}, {events:,} event{'s' if events != 1 else ''}"
        rows += [{"user": str(user), "history": history} | _recommended(one) for one in found]
    return rows


def sampled_users(dataset: Path) -> list[tuple[str, Any, int]]:
    """Return kind, id and number of events of a heavy, a middle and a light user; fewer if few are there."""
    from tasks.dataset.parts import read

    users = read(dataset, "users", ["user_id", "events"])
    events = users["events"].to_numpy()
    order = np.argsort(-events, kind="stable")  # users are sorted by id
    places = {"heavy": 0, "middle": len(order) // 2, "light": len(order) - 1}
    chosen: dict[int, str] = {}
    for kind, place in places.items():
        if len(order):
            chosen.setdefault(int(order[place]), kind)
    return [(kind, users["user_id"][at].as_py(), int(events[at])) for at, kind in chosen.items()]


def station_rows(record: RunRecord) -> list[Row]:
    """Return what each station made and cost, and the sum."""
    rows: list[Row] = [
        {
            "station": one.name,
            "rows": one.rows,
            "seconds": round(one.seconds, 1),
            "peak memory": readable(one.peak_memory),
            "device": one.facts.get("device", ""),
        }
        for one in record.stations
    ]
    if rows:
        seconds = round(sum(one.seconds for one in record.stations), 1)
        peak = readable(max(one.peak_memory for one in record.stations))
        rows.append({"station": "all", "rows": None, "seconds": seconds, "peak memory": peak, "device": ""})
    return rows


def readers(record: RunRecord) -> str:
    """Return what the run means for readers, in one sentence."""
    if record.purpose == "evaluation":
        return "An evaluation publishes nothing."
    if record.release_id is None:
        return "Nothing was published: readers keep the release that they had."
    if record.station("release").facts["active"]:
        return "Active: readers get this release."
    return "Published, not active: readers stay with a later date."


def _rules(counts: Counts, outcome: str, excluding: Iterable[str]) -> Iterator[str]:
    """Yield the rules behind an outcome, the one with the most rows first."""
    if outcome not in {"excluded", "quarantined"}:
        return
    for rule, _ in sorted(counts.rules.items(), key=lambda item: (-item[1], item[0])):
        if (rule in set(excluding)) == (outcome == "excluded"):
            yield rule


def _recommended(one: Mapping[str, Any]) -> Row:
    """Return one row of recommendations_with_titles as it is shown."""
    return {
        "rank": one["rank"],
        "item": str(one["item_id"]),
        "title": one["title"] or "",
        "source": one["source"],
        "because of": one["reason_title"] or _text(one["reason_item_id"]),
    }


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEYS)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
