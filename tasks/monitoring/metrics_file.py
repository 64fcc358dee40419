"""The file `metrics.prom` of a store: figures of its runs and active release, for Prometheus."""

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
    """Replace metrics.prom by figures of the store's current runs and releases.

    A failure is logged as a warning: a file for monitoring must not fail a night.
    """
    try:
        write_text_atomically(store.root / NAME, metrics_text(store))
    except (StoreError, ValueError, KeyError, TypeError, OSError) as error:
        LOG.warning("%s still holds the figures of an earlier run: %s", store.root / NAME, error)


def metrics_text(store: Store) -> str:
    """Return the metrics in Prometheus' text format, each labelled with the store's path."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Figures(Collector):
        def collect(self) -> Iterator[Metric]:
            """Yield every metric."""
            yield from _metrics(store)

    registry = CollectorRegistry()
    registry.register(Figures())
    return generate_latest(registry).decode("utf-8")


def last_ended_runs(store: Store) -> list[RunRecord]:
    """Return the last ended run of each purpose: the night, then the evaluation."""
    last: dict[str, RunRecord] = {}
    for record in read_records(store):
        earlier = last.get(record.purpose)
        if record.state != "running" and (earlier is None or record.finished_at >= earlier.finished_at):
            last[record.purpose] = record
    return sorted(last.values(), key=lambda record: record.purpose, reverse=True)


def _metrics(store: Store) -> Iterator[Metric]:
    """Yield every metric of a store."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    runs = last_ended_runs(store)
    for name, text, samples in (
        *_run_metrics(runs),
        *_station_metrics(runs),
        *_release_metrics(releases(store)),
    ):
        family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        labels = ["store", *(samples[0][0] if samples else ())]
        metric = family(f"nightshelf_{name}", text, labels=labels)
        for values, value in samples:
            metric.add_metric([str(store.root), *values.values()], value)
        if samples:
            yield metric


def _run_metrics(runs: Sequence[RunRecord]) -> Iterator[tuple[str, str, Samples]]:
    """Yield the metrics of whole runs: name, help text and samples."""
    named = [({"purpose": run.purpose}, run) for run in runs]
    yield (
        "run_success",
        "1 if the last ended run succeeded, 0 if it failed, was refused or was killed.",
        [(labels, float(run.state in GOOD)) for labels, run in named],
    )
    yield (
        "run_timestamp_seconds",
        "When the last run ended (or began, if it was killed), in seconds since 1970.",
        [(labels, _seconds_since_1970(run.finished_at or run.started_at)) for labels, run in named],
    )
    yield (
        "run_as_of_timestamp_seconds",
        "The date of the last run, as its midnight in UTC, in seconds since 1970.",
        [(labels, _midnight_seconds(run.as_of)) for labels, run in named],
    )
    yield (
        "run_duration_seconds",
        "Total seconds of the finished stations of the last run.",
        [(labels, sum(station.seconds for station in run.stations)) for labels, run in named],
    )
    yield (
        "run_warnings",
        "Number of warnings of the last run.",
        [(labels, float(len(run.warnings))) for labels, run in named],
    )
    yield (
        "model_metric",
        "Quality of each model in the last run; k is the list length, 0 if it does not apply.",
        [
            (labels | _metric_labels(row), row["value"])
            for labels, run in named
            for row in measured_metrics(run)
        ],
    )


def _station_metrics(runs: Sequence[RunRecord]) -> Iterator[tuple[str, str, Samples]]:
    """Yield the metrics of stations: rows, time and memory, and the account of all rows read."""
    stations = [
        ({"purpose": run.purpose, "station": station.name}, station)
        for run in runs
        for station in run.stations
    ]
    rows = [(labels, float(station.rows)) for labels, station in stations if station.rows is not None]
    yield "station_rows", "Rows written by a station of the last run.", rows
    seconds = [(labels, station.seconds) for labels, station in stations]
    yield "station_duration_seconds", "Seconds taken by a station of the last run.", seconds
    peaks = [(labels, float(station.peak_memory)) for labels, station in stations]
    yield (
        "station_peak_memory_bytes",
        "Peak resident memory while a station ran, child processes included.",
        peaks,
    )
    read = [(run, run.station("interactions").facts) for run in runs if run.finished("interactions")]
    arrived = [({"purpose": run.purpose}, Counts.model_validate(facts["arrived"])) for run, facts in read]
    yield (
        "run_rows",
        "Rows of the files that the last run ingested, by outcome.",
        _outcomes(arrived),
    )
    latest = max(read, key=lambda pair: pair[0].finished_at, default=None)
    accounts = _by_source(latest[1]) if latest else []
    text = "Rows of all files ingested so far, by source and outcome; read is the sum of the others."
    yield "source_rows_total", text, _outcomes(accounts)
    rules = [
        (labels | {"rule": rule}, float(rows))
        for labels, counts in accounts
        for rule, rows in counts.rules.items()
    ]
    yield "source_rule_rows_total", "Rows of all files that a rule excluded or quarantined.", rules


def _release_metrics(all_releases: Sequence[Release]) -> Iterator[tuple[str, str, Samples]]:
    """Yield the metrics of releases; `all_releases` starts with the last published."""
    whole = [release for release in all_releases if not release.problem]
    last = _seconds_since_1970(whole[0].manifest()["published_at"]) if whole else 0.0
    text = "When a night was last published, in seconds since 1970; 0 if never."
    yield "last_success_timestamp_seconds", text, [({}, last)]
    yield "releases", "Number of readable releases in the store.", [({}, float(len(whole)))]
    for release in whole:
        if release.active:
            published = _seconds_since_1970(release.manifest()["published_at"])
            suffix = "of the active release, in seconds since 1970."
            text = "The date of the active release, as its midnight in UTC, in seconds since 1970."
            yield "release_as_of_timestamp_seconds", text, [({}, _midnight_seconds(release.as_of))]
            yield "release_published_timestamp_seconds", f"Publication {suffix}", [({}, published)]
            expires = _seconds_since_1970(release.expires_at)
            yield "release_expires_timestamp_seconds", f"Expiry {suffix}", [({}, expires)]


def _by_source(facts: dict[str, Any]) -> list[tuple[dict[str, str], Counts]]:
    """Return the account of all files of each source; a single one has an empty label, which is none."""
    accounts = facts.get("sources_total") or {"": facts["total"]}
    return [({"source": name}, Counts.model_validate(account)) for name, account in accounts.items()]


def _outcomes(accounts: Sequence[tuple[dict[str, str], Counts]]) -> Samples:
    return [
        (labels | {"outcome": outcome}, float(getattr(counts, outcome)))
        for labels, counts in accounts
        for outcome in OUTCOMES
    ]


def _metric_labels(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(row[name]) for name in ("model", "split", "metric", "k")}


def _seconds_since_1970(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _midnight_seconds(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
