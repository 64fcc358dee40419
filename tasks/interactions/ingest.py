"""The station `interactions`: raw logs in; accepted events, quarantined rows and an exact account out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sql.engines.engine import Engine
from sql.errors import EngineError
from sql.interactions.judged import template_values
from sql.landing.landing import SourceError
from tasks.configuration.configuration import Configuration
from tasks.configuration.sections import bytes_of
from tasks.interactions.account import Counts, TakenFile, total
from tasks.interactions.arrivals import Arrival, arrivals, batches
from tasks.interactions.batch import Intake
from tasks.interactions.ledger import Ledger
from tasks.interactions.sweep import sweep
from tasks.runtime.errors import ConfigurationError, InputError, StoreLockedError
from tasks.runtime.progress import Report, silent
from tasks.store.layout import Store


@dataclass(frozen=True)
class Ingest:
    """What an ingest did: files taken in now and before, the accounting of each, dates touched.

    `files` are those taken in now, `replaced` those that count no longer because of them.
    """

    taken: int
    known: int
    counts: Counts
    total: Counts
    repeated_before_rules: int
    days: tuple[str, ...]
    files: tuple[TakenFile, ...]
    replaced: tuple[TakenFile, ...]


def ingest(
    configuration: Configuration,
    store: Store,
    engine: Engine,
    as_of: date,
    *,
    replace_changed: bool = False,
    rebuild: bool = False,
    since: int | None = None,
    report: Report = silent,
) -> Ingest:
    """Take in the files of the source that are dated up to `as_of` and not yet taken in; all, with `rebuild`.

    `since` is for a run that goes on: the number of ingests there were when it began. What it committed
    before it was killed is reported as taken in now. The caller holds the store's lock.

    Raises
    ------
    ConfigurationError
        If a rule of [source] is not a predicate over known columns.
    InputError
        If a file cannot be read, or changed since it was taken in and `replace_changed` is false, or the
        [source] section changed since. Files before it may have been taken in by then; they stay.
    StoreLockedError
        If files are to be replaced while runs for other dates read them.
    """
    ledger = Ledger.read(store)
    _require_valid(configuration, engine, None if rebuild else ledger)
    before = len(ledger.manifests) if since is None else since
    sweep(store, ledger)
    intake = Intake(configuration, ledger, engine, as_of, store.runs / ".ingest")
    again = {"replace_changed": replace_changed, "rebuild": rebuild}
    with _scratch(intake.scratch) as scratch:
        taken = arrivals(configuration.source, ledger, as_of, scratch, **again, report=report)
        if any(arrival.replaces for arrival in taken):
            _alone(store, as_of)
        _take_in_batches(intake, taken, report)
    return _summary(ledger, as_of, before)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a folder that is gone afterwards; a file that cannot be read is the user's to mend."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    except SourceError as error:
        raise InputError(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_in_batches(intake: Intake, taken: Sequence[Arrival], report: Report) -> None:
    """Take files in, batch after batch; each is committed before the next begins."""
    done = 0
    for batch in batches(taken, bytes_of(intake.configuration.engine.batch)):
        report(f"ingest: {len(batch)} files from {batch[0].raw.name}", done, len(taken))
        intake.take_in(batch)
        done += len(batch)


def _alone(store: Store, as_of: date) -> None:
    """Require that no run for another date reads the interactions that are about to be replaced.

    Runs read what was committed when they took their own logs in; adding to it does not touch them.
    """
    others = [f"{day} by {who}" for day, who in store.dates_at_work().items() if day != as_of]
    if others:
        raise StoreLockedError(f"files that are to be replaced are read by runs for {', '.join(others)}")


def _summary(ledger: Ledger, as_of: date, before: int) -> Ingest:
    """Return what the ingests after the first `before` took in for a date and was not replaced since."""
    gone = ledger.replaced()
    living = [manifest.ingest_id for manifest in ledger.living()]
    new = [ingest for ingest in ledger.manifests[before:] if ingest.as_of == as_of]
    new = [ingest for ingest in new if ingest.ingest_id in living]
    files = [file for manifest in new for file in manifest.files if file.file_id not in gone]
    went = {file_id for manifest in new for file_id in manifest.replaces}
    return Ingest(
        taken=len(files),
        known=len(Ledger(ledger.store, ledger.manifests[:before]).files()),
        counts=total(files),
        total=ledger.counts(),
        repeated_before_rules=sum(manifest.repeated_before_rules for manifest in new),
        days=tuple(sorted({day for manifest in new for day in manifest.parts})),
        files=tuple(files),
        replaced=tuple(file for m in ledger.manifests for file in m.files if file.file_id in went),
    )


def _require_valid(configuration: Configuration, engine: Engine, ledger: Ledger | None) -> None:
    """Raise unless the rules are predicates, and mean what they did for what the ledger has."""
    if ledger and ledger.manifests and ledger.manifests[-1].fingerprint != configuration.source_fingerprint():
        raise InputError(
            "the [source] section (columns, rules or types) changed since the logs were taken in, so old and "
            "new interactions would not mean the same: change it back, or take every file in again with "
            "--rebuild"
        )
    try:
        template_values(configuration.source, engine.name)
    except EngineError as error:
        raise ConfigurationError(f"[source] quarantine or exclude: {error}") from None
