"""The stations of a night in their order, free of Prefect: `flows/run_nightly.py` puts it around them."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tasks.configuration import Configuration
from tasks.dataset import blocked, build_dataset, id_types, make_events
from tasks.engines import open_engine, threads_of
from tasks.ingest_ledger import Ledger
from tasks.interactions import Ingest, ingest
from tasks.popular_items import popular_items
from tasks.progress import Report, silent
from tasks.run_record import RunRecord, Station, measured, new_run, prune
from tasks.store import Store
from tasks.table_writer import TableWriter

T = TypeVar("T")
FREE_BYTES = 512 * 2**20  # below this a run is not even started


class Step(Protocol):
    """Runs one station: directly, or as a Prefect task."""

    def __call__(self, name: str, station: Callable[[], T]) -> T:
        """Return what the station returns."""


def directly(name: str, station: Callable[[], T]) -> T:
    """Run a station in this process, and nothing else."""
    del name
    return station()


@dataclass(frozen=True)
class Result:
    """What a station gives: rows (None where they mean nothing) and facts for the record, both small."""

    rows: int | None
    facts: dict[str, Any]


@dataclass
class Night:
    """One run for one date: where it works, and what it has found out so far."""

    configuration: Configuration
    store: Store
    as_of: date
    record: RunRecord
    report: Report = silent

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.store.run(self.as_of, self.record.run_id)

    @property
    def dataset(self) -> Path:
        """The dataset of everything up to as_of."""
        return self.store.dataset(self.as_of, self.record.run_id)

    @property
    def past(self) -> Path:
        """The dataset up to the cut of the evaluation."""
        return self.folder / "past"

    @property
    def staging(self) -> Path:
        """Where the release's tables are written."""
        return self.store.staging(self.as_of, self.record.run_id)

    def model(self, name: str) -> Path:
        """Return the folder of a model trained on everything."""
        return self.store.model(self.as_of, self.record.run_id, name)


def run_night(
    configuration: Configuration,
    as_of: date,
    *,
    step: Step = directly,
    report: Report = silent,
    replace_changed: bool = False,
    rebuild: bool = False,
) -> RunRecord:
    """Run every station for one date and publish the release; return the record.

    Raises
    ------
    UserError, EngineError, ModelError
        If a station refuses. Nothing is published then, and the record on disk says why.
    """
    with _started(configuration, as_of, report) as night:
        _stations(night, step, replace_changed, rebuild)
        for name in _trained(configuration):
            _run(night, step, f"train {name}", partial(train_station, night, name))
        _run(night, step, "recommendations", partial(recommendations_station, night))
        _run(night, step, "similar_items", partial(similar_station, night))
        _run(night, step, "release", partial(release_station, night))
        night.record.state = "published"
    return night.record


def evaluate_only(configuration: Configuration, as_of: date, *, report: Report = silent) -> RunRecord:
    """Take in new logs and measure the configured models on the last events; publish nothing.

    Raises what `run_night` raises.
    """
    with _started(configuration, as_of, report) as night:
        _stations(night, directly, replace_changed=False, rebuild=False)
        night.record.state = "measured"
    return night.record


def ingest_only(
    configuration: Configuration, as_of: date, *, report: Report = silent, replace_changed: bool = False, rebuild: bool = False
) -> Ingest:
    """Take in new logs up to a date; train and publish nothing."""
    store = Store(configuration.store.path).create()
    with store.lock(f"ingest up to {as_of}"), open_engine(configuration, store) as engine:
        return ingest(
            configuration, store, engine, as_of, replace_changed=replace_changed, rebuild=rebuild, report=report
        )


@contextmanager
def _started(configuration: Configuration, as_of: date, report: Report) -> Iterator[Night]:
    """Give a night that holds the store's lock; its record says how it ended."""
    store = Store(configuration.store.path).create()
    store.require_free(FREE_BYTES)
    with store.lock(f"run for {as_of}"):
        night = Night(configuration, store, as_of, new_run(store, as_of), report)
        try:
            yield night
        except BaseException as error:
            night.record.state, night.record.message = "failed", str(error) or type(error).__name__
            raise
        finally:
            night.record.save(store)
            for folder in prune(store, configuration.store.keep_runs):
                shutil.rmtree(folder, ignore_errors=True)


def _run(night: Night, step: Step, name: str, station: Callable[[], Result]) -> None:
    """Run one station and record what it gave and cost."""
    night.report(name, 0, 0)
    with measured() as cost:
        result = step(name, station)
    done = Station(
        name=name, rows=result.rows, seconds=cost.seconds, peak_memory=cost.peak_memory, facts=result.facts
    )
    night.record.stations.append(done)
    night.record.save(night.store)


def _stations(night: Night, step: Step, replace_changed: bool, rebuild: bool) -> None:
    """Run the stations up to the measuring of the models."""
    enabled = night.configuration.evaluation.enabled
    with open_engine(night.configuration, night.store) as engine:
        take_in = partial(interactions_station, night, engine, replace_changed, rebuild)
        _run(night, step, "interactions", take_in)
        _run(night, step, "validation_results", partial(validation_station, night, engine))
        _run(night, step, "dataset", partial(dataset_station, night, engine))
        _run(night, step, "popular_items", partial(popular_station, night, engine))
        if enabled:
            _run(night, step, "holdout", partial(holdout_station, night, engine))
    for name in night.configuration.train.models if enabled else ():
        _run(night, step, f"measure {name}", partial(measure_station, night, name))


def _trained(configuration: Configuration) -> tuple[str, ...]:
    """Return the models that are trained on everything."""
    if configuration.evaluation.enabled and configuration.train.refit == "served":
        return (configuration.train.serve,)
    return configuration.train.models


def interactions_station(night: Night, engine: Any, replace_changed: bool, rebuild: bool) -> Result:
    """Take in new logs up to the date."""
    done = ingest(
        night.configuration,
        night.store,
        engine,
        night.as_of,
        replace_changed=replace_changed,
        rebuild=rebuild,
        report=night.report,
    )
    facts = {
        "files_taken": done.taken,
        "files_known": done.known,
        "arrived": done.counts.model_dump(),
        "total": done.total.model_dump(),
        "repeated_before_rules": done.repeated_before_rules,
        "exclude_rules": [rule.name for rule in night.configuration.source.exclude],
    }
    return Result(done.counts.read, facts)


def validation_station(night: Night, engine: Any) -> Result:
    """Let the gate judge the interactions; its checks are written before it may refuse."""
    from tasks.validation_results import Check, GateClosed, arrived_for, quarantine_examples, validate

    def write(checks: list[Check]) -> None:
        with TableWriter(night.staging, "validation_results", id_types(night.configuration)) as writer:
            names = writer.schema.names
            writer.write({name: [getattr(check, name) for check in checks] for name in names})

    ledger = Ledger.read(night.store)
    make_events(night.configuration, ledger, engine, night.as_of)
    docs = night.store.data_docs(night.as_of, night.record.run_id)
    try:
        checks = validate(
            night.configuration,
            engine,
            ledger.counts(),
            night.as_of,
            docs,
            arrived=arrived_for(ledger, night.as_of),
            examples=lambda: quarantine_examples(ledger, engine),
        )
    except GateClosed as veto:
        write(veto.checks)
        raise
    write(checks)
    return Result(len(checks), {"checks": len(checks), "data_docs": str(docs / "index.html")})


def dataset_station(night: Night, engine: Any) -> Result:
    """Build users, items, the matrix and the sequences."""
    make_events(night.configuration, Ledger.read(night.store), engine, night.as_of)
    summary = build_dataset(night.configuration, engine, night.dataset, night.folder)
    for kind, catalogue in summary.catalogues.items():
        if catalogue.rejected:
            night.record.warnings.append(f"[{kind}] catalogue: rows that could not be read: {catalogue.rejected}")
    return Result(summary.pairs, dataclasses.asdict(summary))


def popular_station(night: Night, engine: Any) -> Result:
    """Rank what is popular, by window and segment."""
    make_events(night.configuration, Ledger.read(night.store), engine, night.as_of)
    table = popular_items(night.configuration, engine, night.as_of, night.dataset)
    with TableWriter(night.staging, "popular_items", id_types(night.configuration)) as writer:
        writer.write(table)
    return Result(table.num_rows, {})


def holdout_station(night: Night, engine: Any) -> Result:
    """Build the dataset again without the last events, which measure the models."""
    from tasks.model_metrics import cut_of

    cut = cut_of(night.dataset, night.configuration.evaluation.holdout_share)
    make_events(night.configuration, Ledger.read(night.store), engine, night.as_of, until=cut)
    summary = build_dataset(night.configuration, engine, night.past, night.folder)
    return Result(summary.pairs, {"cut": cut, "users": summary.users, "items": summary.items})


def measure_station(night: Night, name: str) -> Result:
    """Train one model on the past and measure it on what came after."""
    from tasks.model_artefacts import train
    from tasks.model_metrics import make_holdout, measure

    cut = night.record.station("holdout").facts["cut"]
    trained = train(night.configuration, name, night.past, night.folder / "past-models" / name, night.report)
    holdout = make_holdout(night.configuration, night.dataset, night.past, cut)
    rows = measure(night.configuration, night.past, trained.folder, holdout)
    cold = {"cold_users": holdout.cold_users, "cold_items": holdout.cold_items, "repeats": holdout.repeats}
    return Result(len(holdout.users), {"device": trained.device, "metrics": rows, **cold})


def train_station(night: Night, name: str) -> Result:
    """Train one model on everything up to the date."""
    from tasks.dataset import rows
    from tasks.model_artefacts import train

    trained = train(night.configuration, name, night.dataset, night.model(name), night.report)
    return Result(rows(night.dataset, "users"), {"device": trained.device, "seconds": trained.seconds})


def recommendations_station(night: Night) -> Result:
    """Write N recommendations for every user."""
    from tasks.recommendations import recommendations

    serve = night.model(night.configuration.train.serve)
    filled = recommendations(night.configuration, night.dataset, serve, night.staging, night.report)
    return Result(filled.rows, {"users": filled.users, "by_source": filled.by_source})


def similar_station(night: Night) -> Result:
    """Write similar items for every item."""
    from tasks.similar_items import similar_items

    serve = night.model(night.configuration.train.serve)
    return Result(similar_items(night.configuration, night.dataset, serve, night.staging, night.report), {})


def release_station(night: Night) -> Result:
    """Write the metrics, complete the release, audit it, publish it, and let go of the oldest."""
    from tasks import release

    settings, ids = night.configuration, id_types(night.configuration)
    metrics = [row for s in night.record.stations if s.name.startswith("measure ") for row in s.facts["metrics"]]
    with TableWriter(night.staging, "model_metrics", ids) as writer:
        ordered = sorted(metrics, key=lambda row: (row["model"], row["split"], row["metric"], row["k"]))
        writer.write({name: [row[name] for row in ordered] for name in writer.schema.names})
    limits = {"memory_limit": "1GB", "threads": threads_of(settings)}
    staged = release.stage(
        night.store,
        night.as_of,
        night.record.run_id,
        items=night.dataset / "items",
        ids=ids,
        facts=manifest_facts(night, metrics),
        expires_after=timedelta(hours=settings.store.expires_after_hours),
        **limits,
    )
    audited = release.audit(
        staged.folder,
        release.Expectations(
            users=night.dataset / "users",
            items=night.dataset / "items",
            entries=night.dataset / "entries",
            n=settings.top_n.n,
            ids=ids,
            repeats=settings.top_n.repeats,
            shortage_repeats=settings.top_n.shortage == "repeat",
            blocked=blocked(settings, ids.item).to_pylist(),
            **limits,
        ),
    )
    published = release.publish(night.store, staged, audited)
    night.record.release_id = published.release_id
    removed = release.retain(night.store, settings.store.keep_releases)
    release.clean(night.store, keep_runs=[night.record.run_id])
    return Result(None, {"active": published.active, "checks": audited.checks, "removed": removed})


def manifest_facts(night: Night, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the release's manifest says beside its files."""
    record, ledger = night.record, Ledger.read(night.store)
    return {
        "code_version": version("nightshelf"),
        "configuration": night.configuration.model_dump(mode="json"),
        "inputs": ledger.facts()["files"],
        "row_accounting": {
            "total": ledger.counts().model_dump(),
            "arrived": record.station("interactions").facts["arrived"],
        },
        "model_metrics": metrics,
        "warnings": record.warnings,
        "devices": {s.name.split()[1]: s.facts["device"] for s in record.stations if "device" in s.facts},
        "stations": [station.model_dump(exclude={"facts"}) for station in record.stations],
        "engine": night.configuration.engine.name,
        "dataset": record.station("dataset").facts,
    }
