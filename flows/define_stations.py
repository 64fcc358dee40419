"""The stations of a night, a function each: what it takes of the night, what it gives for the record."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.configuration import Configuration
from tasks.dataset import blocked, build_dataset, id_types, make_events, read
from tasks.engines import Engine, threads_of
from tasks.ingest_ledger import Ledger
from tasks.interactions import ingest
from tasks.popular_items import popular_items
from tasks.progress import Report, silent
from tasks.published import Release
from tasks.run_record import RunRecord, measured_metrics
from tasks.store import Store, release_id_of
from tasks.table_writer import TableWriter
from tasks.training import Trainer, train_in_child


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
    trainer: Trainer = train_in_child

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

    @property
    def release_id(self) -> str:
        """The id that the release has, or will have."""
        return release_id_of(self.as_of, self.record.run_id)

    def model(self, name: str) -> Path:
        """Return the folder of a model trained on everything."""
        return self.store.model(self.as_of, self.record.run_id, name)


def last_ingest(store: Store) -> str | None:
    """Return the id of the ingest that was committed last, None where nothing was taken in."""
    manifests = Ledger.read(store).manifests
    return manifests[-1].ingest_id if manifests else None


def interactions_station(night: Night, engine: Engine) -> Result:
    """Take in new logs up to the date."""
    done = ingest(
        night.configuration,
        night.store,
        engine,
        night.as_of,
        replace_changed=night.record.replace_changed,
        rebuild=night.record.rebuild,
        since=night.record.ingests_before,
        report=night.report,
    )
    facts = {
        "last_ingest": last_ingest(night.store),
        "files_taken": done.taken,
        "files_known": done.known,
        "arrived": done.counts.model_dump(),
        "total": done.total.model_dump(),
        "repeated_before_rules": done.repeated_before_rules,
        "exclude_rules": [rule.name for rule in night.configuration.source.exclude],
    }
    return Result(done.counts.read, facts)


def validation_station(night: Night, engine: Engine) -> Result:
    """Let the gate judge the interactions; its checks are written before it may refuse."""
    from tasks.validation_results import Check, GateClosedError, arrived_for, quarantine_examples, validate

    def write(checks: list[Check]) -> None:
        with TableWriter(night.staging, "validation_results", id_types(night.configuration)) as writer:
            names = writer.schema.names
            writer.write({name: [getattr(check, name) for check in checks] for name in names})

    ledger = Ledger.read(night.store)
    make_events(night.configuration, ledger, engine, night.as_of)
    docs = night.store.data_docs(night.as_of, night.record.run_id)
    shutil.rmtree(docs, ignore_errors=True)  # the pages of a try that was killed
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
    except GateClosedError as veto:
        write(veto.checks)
        raise
    write(checks)
    return Result(len(checks), {"checks": len(checks), "data_docs": str(docs / "index.html")})


def dataset_station(night: Night, engine: Engine) -> Result:
    """Build users, items, the matrix and the sequences."""
    from tasks.recommendations import require_enough

    make_events(night.configuration, Ledger.read(night.store), engine, night.as_of)
    summary = build_dataset(night.configuration, engine, night.dataset, night.folder)
    available = read(night.dataset, "items", ["available"])["available"].to_numpy()
    require_enough(night.configuration.top_n.n, available)  # before anything is trained
    for kind, catalogue in summary.catalogues.items():
        warning = f"[{kind}] catalogue: rows that could not be read: {catalogue.rejected}"
        if catalogue.rejected and warning not in night.record.warnings:  # of a try that failed after it
            night.record.warnings.append(warning)
    return Result(summary.pairs, dataclasses.asdict(summary))


def popular_station(night: Night, engine: Engine) -> Result:
    """Rank what is popular, by window and segment."""
    table = popular_items(night.configuration, engine, night.as_of, night.dataset)
    with TableWriter(night.staging, "popular_items", id_types(night.configuration)) as writer:
        writer.write(table)
    return Result(table.num_rows, {})


def holdout_station(night: Night, engine: Engine) -> Result:
    """Build the dataset again without the last events, which measure the models."""
    from tasks.model_metrics import cut_of

    cut = cut_of(night.dataset, night.configuration.evaluation.holdout_share)
    make_events(night.configuration, Ledger.read(night.store), engine, night.as_of, until=cut)
    summary = build_dataset(night.configuration, engine, night.past, night.folder)
    return Result(summary.pairs, {"cut": cut, "users": summary.users, "items": summary.items})


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

    release_id, settings = night.release_id, night.configuration
    if night.store.release(release_id).is_dir():  # a try that was killed had come as far as the rename
        checks, published = None, release.finish(night.store, release_id)
    else:
        checks, published = audited_release(night)
    night.record.release_id = published.release_id
    removed = release.retain(night.store, settings.store.keep_releases)
    release.clean(night.store, keep_runs=[night.record.run_id])
    return Result(None, {"active": published.active, "checks": checks, "removed": removed})


def audited_release(night: Night) -> tuple[int, Release]:
    """Write the metrics, complete the release, audit and publish it; return the number of checks, and it."""
    from tasks import release

    metrics = write_metrics(night)
    settings, ids = night.configuration, id_types(night.configuration)
    limits: dict[str, Any] = {"memory_limit": "1GB", "threads": threads_of(settings)}
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
    audited = release.audit(staged.folder, expected(night, limits))
    return audited.checks, release.publish(night.store, staged, audited)


def expected(night: Night, limits: dict[str, Any]) -> Any:
    """Return what the release is audited against; `limits` are the audit's memory and threads."""
    from tasks.release import Expectations
    from tasks.similar_items import rows_of_each

    settings, ids = night.configuration, id_types(night.configuration)
    available = read(night.dataset, "items", ["available"])["available"].to_numpy()
    return Expectations(
        users=night.dataset / "users",
        items=night.dataset / "items",
        entries=night.dataset / "entries",
        n=settings.top_n.n,
        ids=ids,
        similar=rows_of_each(settings, available),
        repeats=settings.top_n.repeats,
        shortage_repeats=settings.top_n.shortage == "repeat",
        blocked=blocked(settings, ids.item).to_pylist(),
        **limits,
    )


def write_metrics(night: Night) -> list[dict[str, Any]]:
    """Write the metrics of all measured models; return them too."""
    metrics = measured_metrics(night.record)
    with TableWriter(night.staging, "model_metrics", id_types(night.configuration)) as writer:
        ordered = sorted(metrics, key=lambda row: (row["model"], row["split"], row["metric"], row["k"]))
        writer.write({name: [row[name] for row in ordered] for name in writer.schema.names})
    return metrics


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
