"""The station `interactions`: raw logs become accepted events, quarantined rows, an account."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from sql.engines.engine import Engine
from sql.errors import EngineError, SourceError
from sql.interactions.classification import template_values
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.sections import bytes_of
from tasks.interactions.account import Counts, IngestedFile, absent_columns, total
from tasks.interactions.arrivals import REMEDY, Arrivals, arrivals, batches
from tasks.interactions.batch import BatchIngest
from tasks.interactions.ledger import Ledger, sweep
from tasks.interactions.owners import Owners, by_source, discover_all
from tasks.interactions.row_settings import Change
from tasks.interactions.stored_rows import notes_about
from tasks.runtime.errors import ConfigurationError, InputError, StoreLockedError
from tasks.runtime.progress import Report, silent
from tasks.runtime.wording import counted
from tasks.sources.discovery import Discovered, LeftOut
from tasks.sources.source_files import SourceFile, redacted
from tasks.store.layout import Store


@dataclass(frozen=True)
class Ingest:
    """The result of an ingest: files ingested now and before, their accounts and their dates.

    `files` were ingested now; `replaced` are the files that they replace; `left_out` are those that
    were found under a source's paths and not read, by reason. `notes` tell of stored rows that the
    present [source] would not have made. `sources` and `sources_total` are the accounts of `files` and
    of all files by source. `exclude_rules` are the names of rules that do not quarantine.
    """

    ingested: int
    known: int
    counts: Counts
    total: Counts
    repeated_before_rules: int
    days: tuple[str, ...]
    files: tuple[IngestedFile, ...]
    replaced: tuple[IngestedFile, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    sources: dict[str, Counts]
    sources_total: dict[str, Counts]
    exclude_rules: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "files_taken": self.ingested,
            "files_known": self.known,
            "files_left_out": [asdict(part) for part in self.left_out],
            "stored_rows": list(self.notes),
            "columns_absent": {column: len(files) for column, files in absent_columns(self.files).items()},
            "arrived": self.counts.model_dump(),
            "total": self.total.model_dump(),
            "sources": by_source(self.sources),
            "sources_total": by_source(self.sources_total),
            "exclude_rules": list(self.exclude_rules),
            "repeated_before_rules": self.repeated_before_rules,
        }


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
    """Ingest the sources' new files that are dated up to `as_of`; with `rebuild`, all files.

    Each source is ingested by itself: a rebuild replaces the files of a source in one commit.

    `since` is for a resumed run: the number of ingests when it first started. Files that the run
    committed before it was killed are then reported as newly ingested. The caller holds the store's
    lock.

    Raises
    ------
    ConfigurationError
        If a rule of [source] is not a predicate over known columns.
    InputError
        If a file cannot be read or is under the paths of two sources, if it changed after it was
        ingested and `replace_changed` is false, or if the [source] section changed. Files committed
        before the error stay ingested.
    StoreLockedError
        If files would be replaced while runs for other dates read them.
    """
    owners = Owners(configuration, Ledger.read(store))
    changes, ledger = owners.changes(), owners.ledger
    rebuilt = {source.name for source in owners.sources if rebuild or _is_first_try(owners, source, changes)}
    _require_valid(owners, engine, {name: changes[name] for name in changes if name not in rebuilt})
    before = len(ledger.manifests) if since is None else since
    sweep(store, ledger)
    with _scratch(store.runs / ".ingest") as scratch:
        discovered = _discovered(owners, as_of, rebuilt)
        due = {name: _due(here, ledger, as_of, rebuild=name in rebuilt) for name, here in discovered.items()}
        found = arrivals(
            due, owners, scratch, replace_changed=replace_changed, rebuilt=rebuilt, report=report
        )
        ledger.require_kept_whole(_not_read_again(owners, found) if rebuilt else [])
        if any(arrival.replaces for arriving in found for arrival in arriving.new):
            _require_no_concurrent_run(store, as_of)
        for part in found:
            batch_ingest = BatchIngest(configuration, part.source, ledger, engine, as_of, scratch, part.apart)
            _ingest_source(batch_ingest, part, report)
    return _ingest_summary(Owners(configuration, ledger), as_of, before, discovered)


def _is_first_try(owners: Owners, source: Source, changes: Mapping[str, Change]) -> bool:
    """Return whether a source changed that has accepted nothing, as with a wrong format of times.

    It is simply read again.
    """
    return source.name in changes and not total(owners.files_of(source)).accepted


def _discovered(owners: Owners, as_of: date, rebuilt: Collection[str]) -> dict[str, Discovered]:
    """Return the files of each source up to a date; of rebuilt ones, up to the last date that is stored."""
    until = _until(owners.ledger, as_of)
    return discover_all(owners.sources, lambda source: until if source.name in rebuilt else as_of)


def _not_read_again(owners: Owners, found: Sequence[Arrivals]) -> list[IngestedFile]:
    """Return the files whose stored rows a rebuild keeps: they are gone, or their source is."""
    replaced = {old for arriving in found for arrival in arriving.new for old in arrival.replaces}
    others = [file for files in owners.without_owner().values() for file in files]
    return [
        *(file for arriving in found for file in arriving.kept),
        *(file for file in others if file.file_id not in replaced),
    ]


def _until(ledger: Ledger, as_of: date) -> date:
    """Return the last date of files that a rebuild reads: those of later dates that are stored, too."""
    return max([as_of, *(file.first_day for file in ledger.files() if file.first_day)])


def _due(discovered: Discovered, ledger: Ledger, as_of: date, *, rebuild: bool) -> list[SourceFile]:
    """Return the files dated up to `as_of`, and for a rebuild all others that were ingested before."""
    due = {file for file in discovered.files if file.day is None or file.day <= as_of}
    if rebuild:
        known = {file.address for file in ledger.files()}
        others = (*discovered.files, *discovered.unsettled)
        due |= {file for file in others if redacted(file.address) in known}
    return sorted(due, key=lambda file: file.address)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder, removed afterwards; a SourceError becomes an InputError."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    except SourceError as error:
        raise InputError(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ingest_source(batch_ingest: BatchIngest, arriving: Arrivals, report: Report) -> None:
    """Ingest a source's files batch by batch; each batch is committed before the next begins.

    Files that a rebuild, which is one batch, cannot read again are kept.
    """
    new, kept, ingested = arriving.new, [file.file_id for file in arriving.kept], 0
    for batch in batches(new, bytes_of(batch_ingest.configuration.engine.batch)):
        report(f"ingest: {counted(len(batch), 'file')} from {batch[0].raw.name}", ingested, len(new))
        batch_ingest.run(batch, new[-1], kept)
        ingested += len(batch)
    if kept and not new:
        batch_ingest.keep(kept)


def _require_no_concurrent_run(store: Store, as_of: date) -> None:
    """Raise StoreLockedError if a run for another date may read interactions about to be replaced.

    A run reads what was committed when it ingested its own logs, so added files do not affect it.
    """
    running = [f"{day} by {who}" for day, who in store.running_dates().items() if day != as_of]
    if running:
        raise StoreLockedError(f"files to be replaced are in use by runs for {', '.join(running)}")


def _ingest_summary(owners: Owners, as_of: date, before: int, discovered: Mapping[str, Discovered]) -> Ingest:
    """Return what a date's ingests after the first `before` added, less files replaced since."""
    ledger = owners.ledger
    replaced = ledger.replaced()
    live = [manifest.ingest_id for manifest in ledger.live_manifests()]
    new = [ingest for ingest in ledger.manifests[before:] if ingest.as_of == as_of]
    new = [ingest for ingest in new if ingest.ingest_id in live]
    files = [file for manifest in new for file in manifest.files if file.file_id not in replaced]
    replaced_now = {file_id for manifest in new for file_id in manifest.replaces}
    return Ingest(
        ingested=len(files),
        known=len(Ledger(ledger.store, ledger.manifests[:before]).files()),
        counts=total(files),
        total=ledger.counts(),
        repeated_before_rules=sum(manifest.repeated_before_rules for manifest in new),
        days=tuple(sorted({day for manifest in new for day in manifest.parts})),
        files=tuple(files),
        replaced=tuple(file for m in ledger.manifests for file in m.files if file.file_id in replaced_now),
        left_out=tuple(
            replace(part, section=source.section)
            for source in owners.sources
            for part in discovered[source.name].left_out
        ),
        notes=tuple(notes_about(owners.configuration, ledger)),
        sources=owners.accounts(files),
        sources_total=owners.accounts(ledger.files()),
        exclude_rules=tuple(owners.exclusion_rules()),
    )


def _require_valid(owners: Owners, engine: Engine, changes: Mapping[str, Change]) -> None:
    """Raise unless the rules are predicates and stored rows are what each source would make of them."""
    for source in owners.sources:
        if source.name in changes:
            events = total(owners.files_of(source)).accepted
            raise InputError(
                f"the [{source.section}] section{changes[source.name].in_brackets} changed since the logs "
                f"were ingested, so {events:,} stored events would not mean the same as new ones: {REMEDY}"
            )
        try:
            template_values(source, engine.name)
        except EngineError as error:
            raise ConfigurationError(f"[{source.section}] quarantine or exclude: {error}") from None
