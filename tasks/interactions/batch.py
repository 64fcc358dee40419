"""A batch of arrivals: landed, judged, counted and kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sql.engines.engine import Engine
from sql.interactions.forgotten import KeyedList
from sql.interactions.judged import Judged, judge
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


@dataclass(frozen=True)
class Intake:
    """What takes batches of files in for a date: an engine writes into `scratch`, the ledger commits."""

    configuration: Configuration
    ledger: Ledger
    engine: Engine
    as_of: date
    scratch: Path

    def take_in(self, batch: Sequence[Arrival]) -> None:
        """Take in one batch and commit it: from then on its rows are interactions."""
        source, store = self.configuration.source, self.ledger.store
        replaces = [old for arrival in batch for old in arrival.replaces]
        last_days = {arrival.raw.file_id: last_day(arrival.found, source.file_date) for arrival in batch}
        forgotten = read_forgotten(store).keyed()
        judged = self._judged(batch, last_days, forgotten)
        self._drop_stored(judged, replaces)
        counts, days = _account(batch, judged), judged.days()
        refused = self.scratch / "quarantine"
        judged.quarantine(refused, {arrival.raw.file_id: arrival.raw.name for arrival in batch})
        screen_quarantine(refused, forgotten)
        ingest_id = self.ledger.next_ingest_id()
        parts, quarantine, hashes = _keep(store, judged, refused, ingest_id)
        self.ledger.commit(
            IngestManifest(
                ingest_id=ingest_id,
                as_of=self.as_of,
                created_at=now(),
                fingerprint=self.configuration.source_fingerprint(),
                engine=self.engine.name,
                files=[
                    _taken(arrival, counts[file_id], last_days[file_id], days.get(file_id, {}))
                    for arrival in batch
                    for file_id in (arrival.raw.file_id,)
                ],
                parts=parts,
                quarantine=quarantine,
                replaces=replaces,
                repeated_before_rules=judged.repeated,
                hashes=hashes,
            )
        )
        for folder in (judged.folder, refused):
            shutil.rmtree(folder, ignore_errors=True)

    def _judged(
        self, batch: Sequence[Arrival], last_days: Mapping[int, date | None], forgotten: KeyedList
    ) -> Judged:
        """Land the files of a batch and judge their rows."""
        source = self.configuration.source
        mapped = list(dict.fromkeys([*source.columns.mapped().values(), *source.attributes.values()]))
        landing = self.engine.land([arrival.raw for arrival in batch], source, mapped)
        graced = {file_id: _graced(day) for file_id, day in last_days.items()}
        return judge(landing, source, self.engine, self.scratch / "judged", graced, forgotten=forgotten)

    def _drop_stored(self, judged: Judged, replaces: Sequence[int]) -> None:
        """Drop what is stored already; the stored rows that it is compared with must be whole."""
        stored = self.ledger.parts_by_day(tuple(judged.accepted()), replaces)
        self.ledger.require_whole([part for parts in stored.values() for part in parts])
        judged.drop_stored(stored, [*self.ledger.replaced(), *replaces])


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


def _account(batch: Sequence[Arrival], judged: Judged) -> dict[int, Counts]:
    """Return the accounting of each file, proven: what was read is what was judged or rejected."""
    counts, landing = {arrival.raw.file_id: Counts() for arrival in batch}, judged.landing
    for file_id, outcome, rule, rows in judged.account():
        counts[file_id].book(COUNT_OF[outcome], rule, rows)
    for arrival in batch:
        file_id = arrival.raw.file_id
        count = counts[file_id]
        count.read = landing.rows.get(file_id, 0) + sum(landing.rejected.get(file_id, {}).values())
        if count.residual():
            raise AssertionError(f"{arrival.raw.name}: {count.residual()} rows are unaccounted for: {count}")
    return counts


def _keep(
    store: Store, judged: Judged, refused: Path, ingest_id: str
) -> tuple[dict[str, list[str]], list[str], dict[str, FileHash]]:
    """Move accepted and quarantined rows into the store.

    Return the paths of the accepted by day, those of the quarantined, and the hashes of all. They and the
    folders that hold them are on the disk before a manifest may name them.
    """
    parts = {
        day: _move(store, folder, store.interactions / f"event_date={day}", ingest_id)
        for day, folder in judged.accepted().items()
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
        for number, path in enumerate(sorted(source.glob("*.parquet"))):
            moved.append(path.rename(target / f"{ingest_id}-{number:03d}.parquet"))
    return [str(path.relative_to(store.root)) for path in moved]
