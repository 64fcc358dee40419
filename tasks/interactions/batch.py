"""A batch of arrivals: landed, judged, counted and kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from sql.engines.engine import Engine
from sql.interactions.judged import (
    accepted_days,
    drop_delivered_again,
    file_days,
    judge,
    outcomes,
    write_quarantine,
)
from sql.landing.landing import Landing
from tasks.configuration.configuration import Configuration
from tasks.interactions.account import Counts, TakenFile
from tasks.interactions.arrivals import Arrival
from tasks.interactions.forgotten import read_forgotten, screen_quarantine
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.source_files import last_day
from tasks.runtime.clock import now
from tasks.store.files import sync_all, writing
from tasks.store.hashes import FileHash, hashes_of
from tasks.store.layout import Store

COUNT_OF = {
    "accepted": "accepted",
    "excluded": "excluded",
    "quarantined": "quarantined",
    "duplicate": "duplicates",
}


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
