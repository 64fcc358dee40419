"""The stations of a night: each function reads the night and returns a result for the record."""

from __future__ import annotations

import dataclasses
import shutil

from flows.night.night import Night, Result, last_ingest
from tasks.configuration.engines import Engine
from tasks.configuration.ids import id_types
from tasks.dataset.build import build_dataset
from tasks.dataset.matches import match_warnings, require_matches
from tasks.dataset.parts import read
from tasks.interactions.account import absence, absent_columns
from tasks.interactions.events import make_events
from tasks.interactions.ingest import ingest
from tasks.interactions.late_events import late_events
from tasks.interactions.ledger import Ledger
from tasks.interactions.owners import Owners
from tasks.interactions.stored_rows import stored_parts
from tasks.recommendations.popular_items import popular_items
from tasks.release.writer import TableWriter
from tasks.runtime.wording import counted


def interactions_station(night: Night, engine: Engine) -> Result:
    """Ingest new logs up to the date under the store's lock; refuse damaged interactions."""
    with night.writing("ingesting logs"):
        ingested = ingest(
            night.configuration,
            night.store,
            engine,
            night.as_of,
            replace_changed=night.record.replace_changed,
            rebuild=night.record.rebuild,
            since=night.record.ingests_before,
            report=night.report,
        )
        last = last_ingest(night.store)
    ledger = Ledger.read(night.store).up_to(last)
    ledger.require_whole(stored_parts(night.configuration, ledger, night.as_of), night.report)
    publishing = night.as_of if night.record.purpose == "night" else None
    absent = absent_columns(ingested.files)
    night.record.warn(*ingested.notes)
    night.record.warn(*(part.warning() for part in ingested.left_out if part.is_news))
    night.record.warn(*(f"[source] {absence(column, files)}" for column, files in absent.items()))
    facts = {
        "last_ingest": last,
        **ingested.facts(),
        "late": late_events(night.store, ingested.files, ingested.replaced, publishing).model_dump(
            mode="json"
        ),
    }
    return Result(ingested.counts.read, facts)


def validation_station(night: Night, engine: Engine) -> Result:
    """Validate the interactions; write the checks before the gate may refuse the night."""
    from tasks.validation.checks import Check, GateClosedError
    from tasks.validation.results import quarantine_examples, validate

    def write(checks: list[Check]) -> None:
        with TableWriter(night.folder.staging, "validation_results", id_types(night.configuration)) as writer:
            names = writer.schema.names
            writer.write({name: [getattr(check, name) for check in checks] for name in names})

    ledger = night.ledger()
    make_events(night.configuration, ledger, engine, night.as_of)
    owners = Owners(night.configuration, ledger)
    accounts = owners.accounts(ledger.files_about(night.as_of))
    docs = night.folder.data_docs if night.configuration.report.enabled else None
    shutil.rmtree(night.folder.data_docs, ignore_errors=True)  # the pages of an attempt that was killed
    try:
        checks = validate(
            night.configuration,
            engine,
            ledger.known_on(night.as_of),
            night.as_of,
            docs,
            arrived=ledger.about(night.as_of),
            by_source=accounts if len(accounts) > 1 else {},
            excluding=owners.exclusion_rules(),
            examples=lambda: quarantine_examples(ledger, engine),
        )
    except GateClosedError as veto:
        write(veto.checks)
        raise
    write(checks)
    pages = {"data_docs": str(docs / "index.html")} if docs else {}
    return Result(len(checks), {"checks": len(checks), **pages})


def dataset_station(night: Night, engine: Engine) -> Result:
    """Build users, items, the matrix and the sequences; measure how fast the items change."""
    from tasks.dataset.freshness import measure_freshness
    from tasks.recommendations.recommendations import rows_per_user

    make_events(night.configuration, night.ledger(), engine, night.as_of)
    summary = build_dataset(night.configuration, engine, night.folder.dataset, night.folder.root)
    available = read(night.folder.dataset, "items", ["available"])["available"].to_numpy()
    require_matches(night.configuration, summary.matches)  # before anything is trained
    n = rows_per_user(night.configuration, available)
    if n < night.configuration.top_n.n:
        night.record.warn(
            f"top_n.n = {night.configuration.top_n.n}, but only {counted(n, 'item')} may be "
            f"recommended: each list has {n}"
        )
    for kind, catalogue in summary.catalogues.items():
        night.record.warn(*catalogue.warnings(kind))
    night.record.warn(*match_warnings(night.configuration, summary.matches))
    fresh = measure_freshness(night.configuration, engine, night.as_of, night.folder.dataset)
    facts = {"freshness": fresh.model_dump()} if fresh else {}
    return Result(summary.pairs, dataclasses.asdict(summary) | facts)


def popular_station(night: Night, engine: Engine) -> Result:
    """Rank the popular items by window and segment."""
    table = popular_items(night.configuration, engine, night.as_of, night.folder.dataset)
    with TableWriter(night.folder.staging, "popular_items", id_types(night.configuration)) as writer:
        writer.write(table)
    return Result(table.num_rows, {})


def holdout_station(night: Night, engine: Engine) -> Result:
    """Build the dataset again without the last events, on which the models are measured."""
    from tasks.evaluation.holdout import cut_of

    cut = cut_of(night.folder.dataset, night.configuration.evaluation.holdout_share)
    make_events(night.configuration, night.ledger(), engine, night.as_of, until=cut)
    summary = build_dataset(night.configuration, engine, night.folder.past, night.folder.root)
    return Result(summary.pairs, {"cut": cut, "users": summary.users, "items": summary.items})


def recommendations_station(night: Night) -> Result:
    """Write N recommendations for every user."""
    from tasks.recommendations.recommendations import recommendations

    run, serving = night.folder, night.serving
    artefacts = {name: run.model(name) for name in serving.names}
    half_life = night.half_life_days
    filled = recommendations(
        night.configuration, run.dataset, artefacts, run.staging, night.report, serving, half_life
    )
    return Result(filled.rows, {"users": filled.users, "by_source": filled.by_source})


def similar_station(night: Night) -> Result:
    """Write similar items for every item."""
    from tasks.recommendations.similar_items import similar_items

    run, name = night.folder, night.similar_model
    if not night.record.finished("train", name):
        name = night.serving.default
    rows = similar_items(night.configuration, run.dataset, run.model(name), run.staging, night.report)
    return Result(rows, {"model": name})
