"""The last station of a night: audit its tables and publish them as a release."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from flows.night.night import Night, Result
from tasks.configuration.ids import blocked, id_types
from tasks.dataset.parts import read
from tasks.interactions.owners import Owners, by_source
from tasks.quality.champion import keep_champion, remove_champions
from tasks.release.writer import TableWriter
from tasks.store.runs import measured_metrics

if TYPE_CHECKING:
    from tasks.release.audit import Audit, Expectations
    from tasks.release.publish import Staging


def release_station(night: Night) -> Result:
    """Write the metrics, complete the release, audit and publish it, and remove the oldest."""
    from tasks.release import publish as release
    from tasks.release.retention import clean, retain

    release_id, settings, audited = night.release_id, night.configuration, None
    renamed = night.store.release(release_id).is_dir()  # an attempt that was killed had got that far
    if not renamed:
        staged, audited = audited_release(night)
    with night.writing("publishing"):
        if audited is None:
            published = release.finish(night.store, release_id)
        else:
            keep_for_comparison(night)
            published = release.publish(night.store, staged, audited)
        night.record.release_id = published.release_id
        grace = timedelta(minutes=settings.store.reader_minutes)
        removed = retain(night.store, settings.store.keep_releases, grace)
        remove_champions(night.store)
        clean(night.store, keep_runs=[night.record.run_id])
    checks = None if audited is None else audited.checks
    return Result(None, {"active": published.active, "checks": checks, "removed": removed})


def keep_for_comparison(night: Night) -> None:
    """Keep the measured models, for comparison with the next night's."""
    if night.measured is not None:
        keep_champion(night.store, night.release_id, night.configuration, night.measured, night.serving)


def audited_release(night: Night) -> tuple[Staging, Audit]:
    """Write the metrics, complete the release in the run's folder and audit it; return both."""
    from tasks.release import publish as release
    from tasks.release.audit import audit

    metrics = write_metrics(night)
    settings, ids = night.configuration, id_types(night.configuration)
    staged = release.stage(
        night.store,
        night.as_of,
        night.record.run_id,
        items=night.folder.dataset / "items",
        ids=ids,
        facts=manifest_facts(night, metrics),
        resources=settings.resources,
        expires_after=timedelta(hours=settings.store.expires_after_hours),
    )
    return staged, audit(staged.folder, release_expectations(night))


def release_expectations(night: Night) -> Expectations:
    """Return the expectations of the release's audit."""
    from tasks.recommendations.recommendations import rows_per_user
    from tasks.recommendations.similar_items import rows_per_item
    from tasks.release.audit import Expectations

    settings, ids = night.configuration, id_types(night.configuration)
    available = read(night.folder.dataset, "items", ["available"])["available"].to_numpy()
    return Expectations(
        users=night.folder.dataset / "users",
        items=night.folder.dataset / "items",
        entries=night.folder.dataset / "entries",
        n=rows_per_user(settings, available),
        ids=ids,
        resources=settings.resources,
        similar=rows_per_item(settings, available),
        repeats=settings.top_n.repeats,
        shortage_repeats=settings.top_n.shortage == "repeat",
        blocked=blocked(settings, ids.item).to_pylist(),
    )


def write_metrics(night: Night) -> list[dict[str, Any]]:
    """Write and return the metrics of all measured models."""
    metrics = measured_metrics(night.record)
    with TableWriter(night.folder.staging, "model_metrics", id_types(night.configuration)) as writer:
        ordered = sorted(metrics, key=lambda row: (row["model"], row["split"], row["metric"], row["k"]))
        writer.write({name: [row[name] for row in ordered] for name in writer.schema.names})
    return metrics


def manifest_facts(night: Night, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts that the release's manifest states beside its files."""
    record, ledger = night.record, night.ledger()
    sources = by_source(Owners(night.configuration, ledger).accounts(ledger.files()))
    return {
        "code_version": version("nightshelf"),
        "configuration": night.configuration.model_dump(mode="json"),
        "inputs": ledger.facts()["files"],
        "row_accounting": {
            "total": ledger.counts().model_dump(),
            "arrived": ledger.about(night.as_of).model_dump(),
            **({"sources": sources} if sources else {}),
        },
        "model_metrics": metrics,
        "warnings": record.warnings,
        "devices": {s.model: s.facts["device"] for s in record.stations if "device" in s.facts},
        "threads": {s.model: s.facts["threads"] for s in record.stations if s.facts.get("threads")},
        "stations": [station.account() for station in record.stations],
        "engine": night.configuration.engine.name,
        "dataset": record.station("dataset").facts,
        "served": night.serving.facts(),
        "release_scores": record.station("release_scores").facts if record.finished("release_scores") else {},
        "incumbents": night.incumbents.model_dump(mode="json") if night.incumbents else {},
        "quality": record.quality,
        "override": record.override,
    }
