"""The summary tables of a run, from its record and store: rows, checks, metrics, samples, costs."""

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
FAILED: Final = "✗ failed"
KEYS: Final = ("model", "split", "metric", "k")
DIGITS: Final = 4  # decimals of a metric and of its change
SHOWN: Final = 5  # rows of each sampled list
OUTCOMES: Final = ("accepted", "excluded", "quarantined", "duplicates")


def accounting_rows(record: RunRecord) -> list[Row]:
    """Return the row accounting, by rule, of the files this run ingested and of all files so far.

    The last row is the difference that the sum leaves: 0. Empty if the run did not ingest.
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

    rows = [row("read", "", (counts.read for counts in accounts.values()))]
    for outcome in OUTCOMES:
        rows.append(row(outcome, "", (getattr(counts, outcome) for counts in accounts.values())))
        rows += [
            row(outcome, rule, (counts.rules.get(rule, 0) for counts in accounts.values()))
            for rule in _rules_by_rows(accounts["all so far"], outcome, facts["exclude_rules"])
        ]
    return [*rows, row("unaccounted for", "", (counts.residual() for counts in accounts.values()))]


def late_events_of(record: RunRecord) -> LateEvents:
    """Return the late events of a run and the dates to run again; empty if it did not ingest."""
    facts = record.station("interactions").facts if record.finished("interactions") else {}
    return LateEvents.model_validate(facts.get("late", {}))


def check_rows(store: Store, record: RunRecord) -> list[Row]:
    """Return the checks of the validation gate, failed ones first; empty if it was not reached."""
    path = table_file(store, record, "validation_results")
    if path is None:
        return []
    with pq.ParquetFile(path) as file:
        checks = file.read().to_pylist()
    rows = [
        {
            "check": check["check"],
            "column": check["column"],
            "result": "✓ passed" if check["passed"] else FAILED,
            "observed": check["observed"],
            "threshold": check["threshold"],
            "rows failed": check["rows_failed"],
        }
        for check in checks
    ]
    return sorted(rows, key=lambda row: row["result"] != FAILED)  # stable


def table_file(store: Store, record: RunRecord, name: str) -> Path | None:
    """Return the file of a run's table, published or staged; None if there is none."""
    folders = [record.folder(store).staging]
    if record.release_id:
        folders.insert(0, store.release(record.release_id))
    paths = [folder / f"{name}.parquet" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def judged_sentence(record: RunRecord) -> str:
    """Return what a night says about the lists that readers had; empty if it did not judge them."""
    judged = record.finished("release_scores")
    return str(record.station("release_scores").facts["sentence"]) if judged else ""


def quality_rows(record: RunRecord) -> list[Row]:
    """Return the checks of the quality gate, failed ones first; empty if it was not reached."""
    rows = [
        {
            "check": row["check"],
            "observed": row["observed"],
            "bound": row["bound"],
            "result": "✓ passed" if row["passed"] else FAILED,
        }
        for row in record.quality
    ]
    return sorted(rows, key=lambda row: row["result"] != FAILED)


def compared_release(store: Store, record: RunRecord) -> str | None:
    """Return the id of the release a run is compared with: the gate's choice, else by its rule."""
    if record.compared_with != "":
        return record.compared_with
    release = release_before(store, record.as_of)
    return release.release_id if release else None


def kept_release(store: Store, release_id: str | None) -> Release | None:
    """Return a release; None if it was removed. StoreError if it is damaged."""
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
    """Return every metric that the run measured, with its change since `before`.

    Only equal model, split, metric and k are compared. `change` is text: an arrow and the
    difference, `=` if the displayed figures are equal, empty if there is nothing to compare with.
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
    """Return every metric that the run measured, with its change since the compared release."""
    before = kept_release(store, compared_release(store, record))
    return metric_rows(record, metrics_of(before))


def change(value: float, before: float | None) -> str:
    """Return `↑ +0.0123`, `↓ -0.0123` or `=`; empty without an earlier value."""
    if before is None:
        return ""
    difference = round(round(value, DIGITS) - round(before, DIGITS), DIGITS)
    if difference == 0:
        return "="
    return f"{'↑' if difference > 0 else '↓'} {difference:+.{DIGITS}f}"


def main_metric_rows(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the main metrics with their changes, a row per model, from rows of `metric_rows`."""
    return main_metrics(rows, lambda row: f"{row['value']:.{DIGITS}f} {row['change']}".strip())


def sample_rows(store: Store, record: RunRecord, number: int = 3) -> list[Row]:
    """Return the first recommendations of the most, the median and the least active user.

    At most `number` users are shown; ties are broken by id. Empty if nothing was published.
    """
    from tasks.release.query import recommendations_of

    if record.release_id is None:
        return []
    rows: list[Row] = []
    for kind, user, events in sampled_users(record.folder(store).dataset)[:number]:
        recommended = recommendations_of(store, str(user), record.release_id).slice(0, SHOWN).to_pylist()
        history = f"{kind}, {events:,} event{'s' if events != 1 else ''}"
        rows += [{"user": str(user), "history": history} | _recommendation_row(row) for row in recommended]
    return rows


def sampled_users(dataset: Path) -> list[tuple[str, Any, int]]:
    """Return kind, id and number of events of the most, the median and the least active user."""
    from tasks.dataset.parts import read

    users = read(dataset, "users", ["user_id", "events"])
    events = users["events"].to_numpy()
    order = np.argsort(-events, kind="stable")  # users are sorted by id
    positions = {"heavy": 0, "middle": len(order) // 2, "light": len(order) - 1}
    chosen: dict[int, str] = {}
    for kind, position in positions.items():
        if len(order):
            chosen.setdefault(int(order[position]), kind)
    return [(kind, users["user_id"][index].as_py(), int(events[index])) for index, kind in chosen.items()]


def station_rows(record: RunRecord) -> list[Row]:
    """Return the rows, time and memory of each station, and the total."""
    rows: list[Row] = [
        {
            "station": station.name,
            "rows": station.rows,
            "seconds": round(station.seconds, 1),
            "peak memory": readable(station.peak_memory),
            "device": station.facts.get("device", ""),
        }
        for station in record.stations
    ]
    if rows:
        seconds = round(sum(station.seconds for station in record.stations), 1)
        peak = readable(max(station.peak_memory for station in record.stations))
        rows.append({"station": "all", "rows": None, "seconds": seconds, "peak memory": peak, "device": ""})
    return rows


def failed_checks(store: Store, record: RunRecord) -> list[Row]:
    """Return the failed checks that ended a run: of the quality gate, else of the validation gate."""
    if record.state == "published":
        return []
    rows = quality_rows(record)
    if not rows and not record.finished("validation_results"):
        rows = [
            {"check": " ".join(filter(None, [row["check"], row["column"]]))}
            | {"observed": row["observed"], "bound": row["threshold"], "result": row["result"]}
            for row in check_rows(store, record)
        ]
    return [row for row in rows if row["result"] == FAILED]


def headline(store: Store, record: RunRecord) -> str:
    """Return what happened to a run in a few words: `refused: coverage 0.08, at least 0.5`."""
    checks = failed_checks(store, record)
    if checks:
        first = "{check} {observed}, {bound}".format_map(checks[0])
        others = f" and {len(checks) - 1} more" if len(checks) > 1 else ""
        return f"refused: {first}{others}"
    if record.state == "failed" and record.message:
        return f"failed: {record.message.splitlines()[0]}"
    return record.state


def effect_on_readers(record: RunRecord) -> str:
    """Return a sentence on what the run changes for readers."""
    if record.purpose == "evaluation":
        return "An evaluation publishes nothing."
    if record.release_id is None:
        return "Nothing was published: readers keep their current release."
    if record.station("release").facts["active"]:
        return "Active: readers get this release."
    return "Published, not active: readers keep a release of a later date."


def _rules_by_rows(counts: Counts, outcome: str, excluding: Iterable[str]) -> Iterator[str]:
    """Yield the rules of an outcome, the one with the most rows first."""
    if outcome not in {"excluded", "quarantined"}:
        return
    for rule, _ in sorted(counts.rules.items(), key=lambda item: (-item[1], item[0])):
        if (rule in set(excluding)) == (outcome == "excluded"):
            yield rule


def _recommendation_row(recommended: Mapping[str, Any]) -> Row:
    """Return a row of recommendations_with_titles for display."""
    return {
        "rank": recommended["rank"],
        "item": str(recommended["item_id"]),
        "title": recommended["title"] or "",
        "source": recommended["source"],
        "because of": recommended["reason_title"] or _text(recommended["reason_item_id"]),
    }


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEYS)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
