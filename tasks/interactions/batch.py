"""A batch of arrivals: landed, classified, counted and moved into the store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sql.engines.engine import Engine
from sql.errors import SourceError
from sql.interactions.classification import ClassifiedRows, classify_rows
from sql.interactions.forgotten import KeyedList
from sql.interactions.raw_rows import wanted_columns
from sql.landing.landed_file import land_file
from sql.landing.landing import Landing, Wanted
from sql.landing.row_writer import OTHER
from sql.landing.text_rows import EXCERPT, printable
from sql.source import Source
from tasks.configuration.configuration import Configuration
from tasks.configuration.fingerprints import source_fingerprint
from tasks.interactions.account import Counts, IngestedFile
from tasks.interactions.arrivals import Arrival
from tasks.interactions.forgotten import read_forgotten, screen_quarantine
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.owners import Owners
from tasks.interactions.redelivery import Redelivery
from tasks.interactions.row_settings import mapped_by, row_settings
from tasks.runtime.clock import now
from tasks.sources.source_files import last_day
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
class BatchIngest:
    """Ingests batches of a source's files for a date: the engine writes to `scratch`, the ledger commits.

    Rows are not compared with those of the files `apart`.
    """

    configuration: Configuration
    source: Source
    ledger: Ledger
    engine: Engine
    as_of: date
    scratch: Path
    apart: frozenset[int] = frozenset()

    def run(self, batch: Sequence[Arrival], newest: Arrival, kept: Sequence[int] = ()) -> None:
        """Ingest a batch and commit it: from then on its rows are interactions.

        `newest` is the last of all files to ingest: a column that neither this batch nor earlier
        ingests have may have begun with it. `kept` are the files that a rebuild cannot read again.
        """
        source, store = self.source, self.ledger.store
        replaces = [old for arrival in batch for old in arrival.replaces]
        last_days = {arrival.raw.file_id: last_day(arrival.file, source.file_date) for arrival in batch}
        forgotten = read_forgotten(store).keyed()
        classified = self._classify(batch, newest, last_days, forgotten)
        refused = self.scratch / "quarantine"
        classified.write_quarantine(refused, {arrival.raw.file_id: arrival.raw.name for arrival in batch})
        screen_quarantine(refused, forgotten)
        apart = [*replaces, *self.apart]
        redelivery = Redelivery(self.configuration, source, self.ledger, self.engine, apart)
        redelivery.drop(classified, [arrival.raw for arrival in batch])
        days = classified.days()
        counts = _account(batch, classified, days)
        ingest_id = self.ledger.next_ingest_id()
        parts, quarantine, hashes = _store_rows(store, classified, refused, ingest_id)
        absent = classified.landing.absent
        files = [
            _ingested_file(
                arrival, counts[number], last_days[number], days.get(number, {}), absent.get(number, ())
            )
            for arrival in batch
            for number in (arrival.raw.file_id,)
        ]
        self._commit(
            files=files,
            parts=parts,
            quarantine=quarantine,
            replaces=replaces,
            repeated_before_rules=classified.repeated,
            hashes=hashes,
            kept=list(kept),
        )
        for folder in (classified.folder, refused):
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, kept: Sequence[int]) -> None:
        """Commit that a rebuild found none of these files, and nothing else to read."""
        self._commit(files=[], parts={}, quarantine=[], replaces=[], repeated_before_rules=0, kept=list(kept))

    def _commit(self, **content: Any) -> None:
        """Commit an ingest by the present settings."""
        self.ledger.commit(
            IngestManifest(
                ingest_id=self.ledger.next_ingest_id(),
                as_of=self.as_of,
                created_at=now(),
                fingerprint=source_fingerprint(self.source),
                source=row_settings(self.source),
                source_name=self.source.name,
                unnamed=Owners(self.configuration, self.ledger).unnamed,
                engine=self.engine.name,
                **content,
            )
        )

    def _classify(
        self,
        batch: Sequence[Arrival],
        newest: Arrival,
        last_days: Mapping[int, date | None],
        forgotten: KeyedList,
    ) -> ClassifiedRows:
        """Land the files of a batch and classify their rows."""
        source = self.source
        wanted = wanted_columns(source)
        landing = self.engine.land([arrival.raw for arrival in batch], source, wanted)
        self._require_columns(landing, batch, newest, wanted)
        latest_days = {file_id: _latest_day(day) for file_id, day in last_days.items()}
        return classify_rows(
            landing, source, self.engine, self.scratch / "classified", latest_days, forgotten=forgotten
        )

    def _require_columns(
        self,
        landing: Landing,
        batch: Sequence[Arrival],
        newest: Arrival,
        wanted: Wanted,
    ) -> None:
        """Raise SourceError for a column that no file has: it is misspelt, not empty."""
        absences = [landing.absent.get(file_id, ()) for file_id, rows in landing.rows.items() if rows]
        now = row_settings(self.source)
        settings = self.ledger.settings(self.configuration)
        owners = Owners(self.configuration, self.ledger)
        for manifest in (m for m in self.ledger.manifests if owners.is_comparable(m, self.source)):
            if mapped_by(settings.get(manifest.ingest_id)) == mapped_by(now):
                absences += [tuple(file.absent) for file in manifest.files if file.counts.read]
        nowhere = [
            column for column in sorted(wanted.columns) if all(column in absent for absent in absences)
        ]
        if nowhere and absences and newest not in batch:
            folder = self.scratch / "newest"
            folder.mkdir(parents=True, exist_ok=True)
            there = land_file(newest.raw, self.source, wanted, folder)
            nowhere = [column for column in nowhere if column in there.absent]
        if nowhere and absences:
            known = {column for relation in landing.relations for column in relation.columns}
            known -= {OTHER, *nowhere}
            raise SourceError(
                f"{batch[0].raw.name}: expected column {nowhere[0]!r}, which no file has; known: "
                + printable(", ".join(sorted(known))[:EXCERPT])
            )


def _latest_day(day: date | None) -> date | None:
    """Return the last day that a file may hold: a day after its name's, as clocks differ."""
    return None if day is None else day + timedelta(days=1)


def _ingested_file(
    arrival: Arrival, counts: Counts, last: date | None, days: dict[str, int], absent: Sequence[str]
) -> IngestedFile:
    return IngestedFile(
        file_id=arrival.raw.file_id,
        address=arrival.raw.name,
        sha256=arrival.sha256,
        size=arrival.file.size if arrival.raw.end is None else arrival.raw.end,
        stamp=arrival.file.stamp,
        counts=counts,
        first_day=arrival.file.day,
        last_day=last,
        days=days,
        absent=list(absent),
        continues=arrival.continues,
    )


def _account(
    batch: Sequence[Arrival], classified: ClassifiedRows, days: Mapping[int, Mapping[str, int]]
) -> dict[int, Counts]:
    """Return the account of each file; AssertionError unless every row read has an outcome."""
    counts, landing = {arrival.raw.file_id: Counts() for arrival in batch}, classified.landing
    for file_id, outcome, rule, rows in classified.account(days):
        counts[file_id].book(COUNT_OF[outcome], rule, rows)
    for arrival in batch:
        file_id = arrival.raw.file_id
        count = counts[file_id]
        count.read = landing.rows.get(file_id, 0) + sum(landing.rejected.get(file_id, {}).values())
        if count.residual():
            raise AssertionError(f"{arrival.raw.name}: {count.residual()} rows are unaccounted for: {count}")
    return counts


def _store_rows(
    store: Store, classified: ClassifiedRows, refused: Path, ingest_id: str
) -> tuple[dict[str, list[str]], list[str], dict[str, FileHash]]:
    """Move accepted and quarantined rows into the store.

    Return the paths of accepted rows by day, the paths of quarantined rows, and all hashes. The
    files and their folders are flushed to disk before a manifest names them.
    """
    accepted, refused_rows = store.interactions, store.quarantine
    parts = {
        day: _move(store, folder, accepted / f"event_date={day}", ingest_id)
        for day, folder in classified.accepted().items()
    }
    quarantine: list[str] = []
    for folder in sorted(refused.glob("event_date=*")):
        quarantine += _move(store, folder, refused_rows / folder.name, ingest_id)
    moved = [
        store.root / path for path in (*(path for paths in parts.values() for path in paths), *quarantine)
    ]
    with writing(store.root):
        sync_all([*moved, *{path.parent for path in moved}, accepted, refused_rows])
    hashes = dict(zip((str(path.relative_to(store.root)) for path in moved), hashes_of(moved), strict=True))
    return parts, quarantine, hashes


def _move(store: Store, source: Path, target: Path, ingest_id: str) -> list[str]:
    """Move a folder's Parquet files, renamed after the ingest; return their paths in the store.

    A folder that is new and holds nothing else is moved as a whole.
    """
    names = sorted(path.name for path in source.iterdir())
    files = [name for name in names if name.endswith(".parquet")]
    renamed = {name: f"{ingest_id}-{number:03d}.parquet" for number, name in enumerate(files)}
    with writing(target):
        if files == names and not target.exists():
            for name, new in renamed.items():
                (source / name).rename(source / new)
            source.rename(target)
        else:
            target.mkdir(parents=True, exist_ok=True)
            for name, new in renamed.items():
                (source / name).rename(target / new)
    folder = target.relative_to(store.root)
    return [f"{folder}/{new}" for new in renamed.values()]
