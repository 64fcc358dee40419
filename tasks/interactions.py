"""The station `interactions`: raw logs in; accepted events, quarantined rows and an exact account out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sql.engines.engine import Engine
from sql.errors import EngineError
from sql.interactions.judged import (
    accepted_days,
    drop_delivered_again,
    file_days,
    judge,
    outcomes,
    template_values,
    write_quarantine,
)
from sql.landing.landing import Landing, SourceError
from tasks.arrivals import Arrival, arrivals, batches
from tasks.configuration import Configuration, bytes_of
from tasks.errors import ConfigurationError, InputError, StoreLockedError
from tasks.file_hashes import FileHash, hashes_of
from tasks.files import sync_all, writing
from tasks.forgotten import read_forgotten, screen_quarantine
from tasks.ingest_ledger import Counts, IngestManifest, Ledger, TakenFile, now, total
from tasks.progress import Report, silent
from tasks.source_files import last_day
from tasks.store import Store

COUNT_OF = {
    "accepted": "accepted",
    "excluded": "excluded",
    "quarantined": "quarantined",
    "duplicate": "duplicates",
}


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
    before it was killed is told as taken in now.

    Raises
    ------
    ConfigurationError
        If a rule of [source] is not a predicate over known columns.
    InputError
        If a file cannot be read, or changed since it was taken in and `replace_changed` is false, or the
        [source] section changed since. Files before it may have been taken in by then; they stay.
    StoreLockedError
        If files are to be replaced while runs for other dates read them.

    The caller holds the store's lock.
    """
    ledger = Ledger.read(store)
    if not rebuild:
        _same_source(configuration, ledger)
    _valid_rules(configuration, engine)
    before = len(ledger.manifests) if since is None else since
    sweep(store, ledger)
    scratch = store.runs / ".ingest"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        taken = arrivals(
            configuration.source,
            ledger,
            as_of,
            scratch,
            replace_changed=replace_changed,
            rebuild=rebuild,
            report=report,
        )
        if any(arrival.replaces for arrival in taken):
            _alone(store, as_of)
        done = 0
        for batch in batches(taken, bytes_of(configuration.engine.batch)):
            report(f"ingest: {len(batch)} files from {batch[0].raw.name}", done, len(taken))
            _take_in(batch, configuration, ledger, engine, as_of=as_of, scratch=scratch)
            done += len(batch)
    except SourceError as error:
        raise InputError(str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _told(ledger, as_of, before)


def sweep(store: Store, ledger: Ledger) -> int:
    """Remove what no committed ingest names (a killed one left it); return the number of files.

    That is Parquet files, folders of days without any, and half-written records of ingests.
    """
    named = {store.root / path for manifest in ledger.living() for path in manifest.written()}
    days = [*store.interactions.glob("*/"), *store.quarantine.glob("*/")]
    orphans = [path for day in days for path in day.glob("*.parquet") if path not in named]
    orphans += store.ingests.glob(".*.tmp")
    with writing(store.root):
        for path in orphans:
            path.unlink()
        for day in days:
            if not any(day.iterdir()):
                day.rmdir()
    return len(orphans)


def _alone(store: Store, as_of: date) -> None:
    """Require that no run for another date reads the interactions that are about to be replaced.

    Runs read what was committed when they took their own logs in; adding to it does not touch them.
    """
    others = [f"{day} by {who}" for day, who in store.dates_at_work().items() if day != as_of]
    if others:
        raise StoreLockedError(f"files that are to be replaced are read by runs for {', '.join(others)}")


def _told(ledger: Ledger, as_of: date, before: int) -> Ingest:
    """Tell what the ingests after the first `before` took in for a date and was not replaced since."""
    gone = ledger.replaced()
    living = [manifest.ingest_id for manifest in ledger.living()]
    new = [one for one in ledger.manifests[before:] if one.as_of == as_of and one.ingest_id in living]
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


def _same_source(configuration: Configuration, ledger: Ledger) -> None:
    fingerprint = configuration.source_fingerprint()
    if ledger.manifests and ledger.manifests[-1].fingerprint != fingerprint:
        raise InputError(
            "the [source] section (columns, rules or types) changed since the logs were taken in, so old and "
            "new interactions would not mean the same: change it back, or take every file in again with "
            "--rebuild"
        )


def _valid_rules(configuration: Configuration, engine: Engine) -> None:
    try:
        template_values(configuration.source, engine.name)
    except EngineError as error:
        raise ConfigurationError(f"[source] quarantine or exclude: {error}") from None


def _take_in(
    batch: Sequence[Arrival],
    configuration: Configuration,
    ledger: Ledger,
    engine: Engine,
    *,
    as_of: date,
    scratch: Path,
) -> None:
    """Take in one batch of files and commit it."""
    source, judged = configuration.source, scratch / "judged"
    replaces = [old for arrival in batch for old in arrival.replaces]
    mapped = list(dict.fromkeys([*source.columns.mapped().values(), *source.attributes.values()]))
    landing = engine.land([arrival.raw for arrival in batch], source, mapped)
    last_days = {arrival.raw.file_id: last_day(arrival.found, source.file_date) for arrival in batch}
    forgotten = read_forgotten(ledger.store).keyed()
    graced = {file: _graced(day) for file, day in last_days.items()}
    repeated = judge(landing, source, engine, judged, graced, forgotten=forgotten)
    stored = ledger.parts_by_day(tuple(accepted_days(judged)), replaces)
    ledger.require_whole([part for parts in stored.values() for part in parts])
    drop_delivered_again(source, engine, judged, stored, [*ledger.replaced(), *replaces])
    counts, days = _account(batch, landing, engine, judged), file_days(judged, engine)
    names = {arrival.raw.file_id: arrival.raw.name for arrival in batch}
    write_quarantine(landing, source, engine, judged, scratch / "quarantine", names=names)
    screen_quarantine(scratch / "quarantine", forgotten)
    ingest_id = ledger.next_ingest_id()
    parts, quarantine, hashes = _keep(ledger.store, judged, scratch / "quarantine", ingest_id)
    ledger.commit(
        IngestManifest(
            ingest_id=ingest_id,
            as_of=as_of,
            created_at=now(),
            fingerprint=configuration.source_fingerprint(),
            engine=engine.name,
            files=[
                _taken(arrival, counts[file_id], last_days[file_id], days.get(file_id, {}))
                for arrival in batch
                for file_id in (arrival.raw.file_id,)
            ],
            parts=parts,
            quarantine=quarantine,
            replaces=replaces,
            repeated_before_rules=repeated,
            hashes=hashes,
        )
    )
    for folder in (judged, scratch / "quarantine"):
        shutil.rmtree(folder, ignore_errors=True)


def _graced(day: date | None) -> date | None:
    """Return the last day that a file can know of: a day later than its name says, as clocks differ."""
    return None if day is None else day + timedelta(days=1)


def _taken(arrival: Arrival, counts: Counts, last: date | None, days: dict[str, int]) -> TakenFile:
    return TakenFile(
        file_id=arrival.raw.file_id,
        address=arrival.raw.name,
        sha256=arrival.sha256,
        size=arrival.found.size,
        stamp=arrival.found.stamp,
        counts=counts,
        first_day=arrival.found.day,
        last_day=last,
        days=days,
    )


def _account(batch: Sequence[Arrival], landing: Landing, engine: Engine, judged: Path) -> dict[int, Counts]:
    """Return the accounting of each file, proven: what was read is what was judged or rejected."""
    counts = {arrival.raw.file_id: Counts() for arrival in batch}
    for outcome, rows in outcomes(judged, engine).items():
        for row in rows:
            counts[row["file_id"]].book(COUNT_OF[outcome], row["rule"], row["n"])
    for file_id, rejected in landing.rejected.items():
        for rule, n in rejected.items():
            counts[file_id].book("quarantined", rule, n)
    for arrival in batch:
        file_id = arrival.raw.file_id
        count = counts[file_id]
        count.read = landing.rows.get(file_id, 0) + sum(landing.rejected.get(file_id, {}).values())
        if count.residual():
            raise AssertionError(f"{arrival.raw.name}: {count.residual()} rows are unaccounted for: {count}")
    return counts


def _keep(
    store: Store, judged: Path, refused: Path, ingest_id: str
) -> tuple[dict[str, list[str]], list[str], dict[str, FileHash]]:
    """Move accepted and quarantined rows to their places in the store.

    Return the paths of the accepted by day, those of the quarantined, and the hashes of all. They and the
    folders that hold them are on the disk before a manifest may name them.
    """
    parts = {
        day: _move(store, folder, store.interactions / f"event_date={day}", ingest_id)
        for day, folder in accepted_days(judged).items()
    }
    quarantine: list[str] = []
    for folder in sorted(refused.glob("event_date=*")):
        quarantine += _move(store, folder, store.quarantine / folder.name, ingest_id)
    moved = [
        store.root / path for path in (*(path for paths in parts.values() for path in paths), *quarantine)
    ]
    with writing(store.root):
        sync_all([*moved, *{path.parent for path in moved}, store.interactions, store.quarantine])
    hashes = dict(zip((str(path.relative_to(store.root)) for path in moved), hashes_of(moved), strict=True))
    return parts, quarantine, hashes


def _move(store: Store, source: Path, target: Path, ingest_id: str) -> list[str]:
    """Move the Parquet files of a folder under the ingest's name."""
    moved = []
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
        for place, path in enumerate(sorted(source.glob("*.parquet"))):
            moved.append(path.rename(target / f"{ingest_id}-{place:03d}.parquet"))
    return [str(path.relative_to(store.root)) for path in moved]
