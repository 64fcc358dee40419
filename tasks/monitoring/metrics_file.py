"""The file `metrics.prom` of a store: its runs and its active release in figures, for Prometheus."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final

from tasks.interactions.account import Counts
from tasks.release.releases import Release, releases
from tasks.runtime.errors import StoreError
from tasks.store.files import write_text_atomically
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, measured_metrics, read_records

if TYPE_CHECKING:
    from prometheus_client.core import Metric

NAME: Final = "metrics.prom"
OUTCOMES: Final = ("read", "accepted", "excluded", "quarantined", "duplicates")
GOOD: Final = ("published", "measured")
LOG = logging.getLogger("nightshelf")

Samples = list[tuple[dict[str, str], float]]
"""Values of one metric with their labels."""


def write_metrics(store: Store) -> None:
    """Replace metrics.prom by what the store's runs and releases say now.

    A file for monitoring is no reason to fail a night: what prevents it is logged as a warning.
    """
    try:
        write_text_atomically(store.root / NAME, metrics_text(store))
    except (StoreError, ValueError, KeyError, TypeError, OSError) as error:
        LOG.warning("%s still holds the figures of an earlier run: %s", store.root / NAME, error)


def metrics_text(store: Store) -> str:
    """Return the figures in Prometheus' text format; every sample has the label `store`, its path."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Figures(Collector):
        def collect(self) -> Iterator[Metric]:
            """Yield every metric."""
            yield from _metrics(store)

    registry = CollectorRegistry()
    registry.register(Figures())
    return generate_latest(registry).decode("utf-8")


def ended_runs(store: Store) -> list[RunRecord]:
    """Return the run of each purpose that ended last, the night before the evaluation."""
    found: dict[str, RunRecord] = {}
    for record in read_records(store):
        before = found.get(record.purpose)
        if record.state != "running" and (before is None or record.finished_at >= before.finished_at):
            found[record.purpose] = record
    return sorted(found.values(), key=lambda record: record.purpose, reverse=True)


def _metrics(store: Store) -> Iterator[Metric]:
    """Yield every metric of a store."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    runs = ended_runs(store)
    for name, text, samples in (*_of_runs(runs), *_of_stations(runs), *_of_releases(releases(store))):
        family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        labels = ["store", *(samples[0][0] if samples else ())]
        metric = family(f"nightshelf_{name}", text, labels=labels)
        for values, value in samples:
            metric.add_metric([str(store.root), *values.values()], value)
        if samples:
            yield metric


def _of_runs(runs: Sequence[RunRecord]) -> Iterator[tuple[str, str, Samples]]:
    """Yield what is known of whole runs."""
    named = [({"purpose": run.purpose}, run) for run in runs]
    yield (
        "run_success",
        "1 if the last run that ended did what it was to do, 0 if it failed, was refused or killed.",
        [(labels, float(run.state in GOOD)) for labels, run in named],
    )
    yield (
        "run_timestamp_seconds",
        "When the last run ended, in seconds since 1970; when it began, if it was killed.",
        [(labels, _moment(run.finished_at or run.started_at)) for labels, run in named],
    )
    yield (
        "run_as_of_timestamp_seconds",
        "The date that the last run was for: its midnight in UTC, in seconds since 1970.",
        [(labels, _midnight(run.as_of)) for labels, run in named],
    )
    yield (
        "run_duration_seconds",
        "Seconds that the finished stations of the last run took together.",
        [(labels, sum(one.seconds for one in run.stations)) for labels, run in named],
    )
    yield (
        "run_warnings",
        "Warnings of the last run.",
        [(labels, float(len(run.warnings))) for labels, run in named],
    )
    yield (
        "model_metric",
        "Quality of each model as the last run measured it; k is the length of the list, 0 for none.",
        [(labels | _keys(row), row["value"]) for labels, run in named for row in measured_metrics(run)],
    )


def _of_stations(runs: Sequence[RunRecord]) -> Iterator[tuple[str, str, Samples]]:
    """Yield what the stations of the runs gave and cost, and the account of the rows that they read."""
    done = [({"purpose": run.purpose, "station": one.name}, one) for run in runs for one in run.stations]
    rows = [(labels, float(one.rows)) for labels, one in done if one.rows is not None]
    yield "station_rows", "Rows that a station of the last run made.", rows
    seconds = [(labels, one.seconds) for labels, one in done]
    yield "station_duration_seconds", "Seconds that a station of the last run took.", seconds
    peaks = [(labels, float(one.peak_memory)) for labels, one in done]
    yield (
        "station_peak_memory_bytes",
        "Most memory resident while a station ran, with child processes.",
        peaks,
    )
    read = [(run, run.station("interactions").facts) for run in runs if run.finished("interactions")]
    arrived = [({"purpose": run.purpose}, Counts.model_validate(facts["arrived"])) for run, facts in read]
    yield (
        "run_rows",
        "Rows of the files that the last run took in, by what became of them.",
        _outcomes(arrived),
    )
    latest = max(read, key=lambda one: one[0].finished_at, default=None)
    total: list[tuple[dict[str, str], Counts]] = (
        [({}, Counts.model_validate(latest[1]["total"]))] if latest else []
    )
    text = "Rows of all files taken in so far, by what became of them; read is the sum of the others."
    yield "source_rows_total", text, _outcomes(total)
    rules = [({"rule": rule}, float(rows)) for _, counts in total for rule, rows in counts.rules.items()]
    yield "source_rule_rows_total", "Rows of all files that a rule excluded or sent to quarantine.", rules


def _of_releases(found: Sequence[Release]) -> Iterator[tuple[str, str, Samples]]:
    """Yield what is known of the releases; `found` are all of them, the last published first."""
    whole = [release for release in found if not release.problem]
    last = _moment(whole[0].manifest()["published_at"]) if whole else 0.0
    text = "When a night was last published, in seconds since 1970; 0 if none is there."
    yield "last_success_timestamp_seconds", text, [({}, last)]
    yield "releases", "Releases in the store that can be read.", [({}, float(len(whole)))]
    for release in whole:
        if release.active:
            published = _moment(release.manifest()["published_at"])
            of = "of the active release, in seconds since 1970."
            text = f"The date {of[:-1]}: its midnight in UTC."
            yield "release_as_of_timestamp_seconds", text, [({}, _midnight(release.as_of))]
            yield "release_published_timestamp_seconds", f"Publication {of}", [({}, published)]
            expires = _moment(release.expires_at)
            yield "release_expires_timestamp_seconds", f"Expiry {of}", [({}, expires)]


def _outcomes(accounts: Sequence[tuple[dict[str, str], Counts]]) -> Samples:
    return [
        (labels | {"outcome": outcome}, float(getattr(counts, outcome)))
        for labels, counts in accounts
        for outcome in OUTCOMES
    ]


def _keys(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(row[name]) for name in ("model", "split", "metric", "k")}


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
