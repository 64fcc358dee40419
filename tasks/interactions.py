"""The station `interactions`: raw logs in; accepted events, quarantined rows and an exact account out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa

from sql.engine import Engine, render
from sql.landing import Landing, RawFile, Scan, file_format, scan
from sql.layout import Source
from sql.predicate import portable
from sql.raw_rows import raw_rows
from tasks.configuration import Configuration, bytes_of
from tasks.errors import InputError
from tasks.ingest_ledger import Counts, IngestManifest, Ledger, TakenFile, now
from tasks.progress import Report, silent
from tasks.source_files import SourceFile, fetch, find, redacted
from tasks.store import Store

VALUES = ("event_date", "event_type", "value", "weight", "session_id", "position", "rest")


@dataclass
class Arrival:
    """A file that is to be taken in, and the ids of the files that it replaces."""

    raw: RawFile
    scan: Scan
    found: SourceFile
    replaces: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Ingest:
    """What an ingest did: files taken in now and before, the accounting of each, dates touched."""

    taken: int
    known: int
    counts: Counts
    total: Counts
    repeated_before_rules: int
    days: tuple[str, ...]


def ingest(
    configuration: Configuration,
    store: Store,
    engine: Engine,
    as_of: date,
    *,
    replace_changed: bool = False,
    report: Report = silent,
) -> Ingest:
    """Take in the files of the source that are dated up to `as_of` and not yet taken in.

    Raises
    ------
    InputError
        If a file cannot be read, or changed since it was taken in and `replace_changed` is false, or the
        [source] section changed since. Files before it may have been taken in by then; they stay.
    """
    source, ledger = configuration.source, Ledger.read(store)
    _same_source(configuration, ledger)
    known = len(ledger.files())
    sweep(store, ledger)
    total_before = len(ledger.manifests)
    scratch = store.runs / ".ingest"
    try:
        arrivals = list(_arrivals(source, ledger, as_of, scratch, replace_changed, report))
        for place, batch in enumerate(_batches(arrivals, bytes_of(configuration.engine.batch))):
            report(f"ingest: batch {place + 1}, {len(batch)} files", 0, 0)
            _take_in(batch, configuration, ledger, engine, as_of, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    new = ledger.manifests[total_before:]
    counts = Counts()
    for file in (file for manifest in new for file in manifest.files):
        counts.add(file.counts)
    return Ingest(
        taken=len(arrivals),
        known=known,
        counts=counts,
        total=ledger.counts(),
        repeated_before_rules=sum(manifest.repeated_before_rules for manifest in new),
        days=tuple(sorted({day for manifest in new for day in manifest.parts})),
    )


def sweep(store: Store, ledger: Ledger) -> int:
    """Remove the Parquet files that no committed ingest names (a killed ingest left them); return how many."""
    named = {path for path in ledger.parts()}
    named |= {store.root / path for manifest in ledger.manifests for path in manifest.quarantine}
    orphans = [
        path
        for folder in (store.interactions, store.quarantine)
        for path in folder.glob("*/*.parquet")
        if path not in named
    ]
    for path in orphans:
        path.unlink()
    return len(orphans)


def _same_source(configuration: Configuration, ledger: Ledger) -> None:
    fingerprint = configuration.source_fingerprint()
    if ledger.manifests and ledger.manifests[-1].fingerprint != fingerprint:
        raise InputError(
            "the [source] section (columns, rules or types) changed since the logs were taken in, so old and new "
            "interactions would not mean the same: change it back, or take everything in anew into another [store] path"
        )


def _arrivals(
    source: Source, ledger: Ledger, as_of: date, scratch: Path, replace_changed: bool, report: Report
) -> Iterator[Arrival]:
    """Yield the files that are new or changed; a file known by its content is not read twice."""
    found = find(source, as_of)
    by_address = {file.address: file for file in ledger.files()}
    by_content = {file.sha256: file.address for file in ledger.files()}
    next_id = ledger.next_file_id()
    rewritten: list[SourceFile] = []
    for place, file in enumerate(found):
        report("ingest: looking for new files", place + 1, len(found))
        name = redacted(file.address)
        old = by_address.get(name)
        if old is not None and (old.size, old.stamp) == (file.size, file.stamp) and file.stamp:
            continue
        raw = RawFile(next_id, fetch(file, scratch / "fetched" / str(next_id)), name)
        scanned = scan(raw, file_format(name, source) != "parquet")
        if scanned.sha256 in by_content:
            continue
        arrival = Arrival(raw, scanned, file)
        if old is not None:
            if not replace_changed:
                raise InputError(
                    f"{name}: changed since it was taken in ({old.size} bytes then, {file.size} now); "
                    "run `nightshelf ingest --replace-changed` if the new content is right"
                )
            arrival.replaces.append(old.file_id)
            rewritten.append(file)
        by_content[scanned.sha256] = name
        next_id += 1
        yield arrival
    if rewritten:
        yield from _neighbours(source, ledger, rewritten, found, scratch, next_id)


def _neighbours(
    source: Source,
    ledger: Ledger,
    rewritten: Sequence[SourceFile],
    found: Sequence[SourceFile],
    scratch: Path,
    next_id: int,
) -> Iterator[Arrival]:
    """Yield the unchanged files that held duplicates: their first copies may have been in a replaced file."""
    changed = {file.address for file in rewritten}
    here = {redacted(file.address): file for file in found if file.address not in changed}
    for old in ledger.files():
        if old.counts.duplicates and old.address in here:
            file = here[old.address]
            raw = RawFile(next_id, fetch(file, scratch / "fetched" / str(next_id)), old.address)
            scanned = scan(raw, file_format(old.address, source) != "parquet")
            yield Arrival(raw, scanned, file, [old.file_id])
            next_id += 1


def _batches(arrivals: Sequence[Arrival], limit: int) -> Iterator[list[Arrival]]:
    """Yield arrivals in groups of at most `limit` bytes; what replaces something goes into one group."""
    batch: list[Arrival] = []
    size = 0
    replacing = any(arrival.replaces for arrival in arrivals)
    for arrival in arrivals:
        if batch and size + arrival.scan.size > limit and not replacing:
            yield batch
            batch, size = [], 0
        batch.append(arrival)
        size += arrival.scan.size
    if batch:
        yield batch


def _take_in(
    batch: Sequence[Arrival],
    configuration: Configuration,
    ledger: Ledger,
    engine: Engine,
    as_of: date,
    scratch: Path,
) -> None:
    """Take in one batch of files and commit it."""
    source, replaces = configuration.source, [old for arrival in batch for old in arrival.replaces]
    files = [arrival.raw for arrival in batch]
    scans = {arrival.raw.file_id: arrival.scan for arrival in batch}
    mapped = list(dict.fromkeys([*source.columns.mapped().values(), *source.attributes.values()]))
    landing = engine.land(files, scans, source, mapped)
    judged, repeated = scratch / "judged", 0
    if landing.relations:
        repeated = _judge(landing, source, engine, judged)
        _drop_delivered_again(source, ledger, engine, judged, replaces)
    counts = _account(batch, landing, engine, judged)
    ingest_id = ledger.next_ingest_id()
    parts, quarantine = _keep(ledger.store, landing, judged, ingest_id)
    ledger.commit(
        IngestManifest(
            ingest_id=ingest_id,
            as_of=as_of,
            created_at=now(),
            fingerprint=configuration.source_fingerprint(),
            engine=engine.name,
            files=[
                TakenFile(
                    file_id=arrival.raw.file_id,
                    address=arrival.raw.name,
                    sha256=arrival.scan.sha256,
                    size=arrival.found.size,
                    stamp=arrival.found.stamp,
                    counts=counts[arrival.raw.file_id],
                )
                for arrival in batch
            ],
            parts=parts,
            quarantine=quarantine,
            replaces=replaces,
            repeated_before_rules=repeated,
        )
    )
    shutil.rmtree(judged, ignore_errors=True)


def _judge(landing: Landing, source: Source, engine: Engine, folder: Path) -> int:
    """Write every landed row under outcome=.../day=...; return the exact repeats among all of them."""
    columns = {"user_id", "item_id", "timestamp", "event_date", *VALUES[1:6], *source.attributes}
    naive = "always"
    if (
        source.time_zone == "UTC"
        or source.timestamp_format.startswith("epoch")
        or "%z" in source.timestamp_format
    ):
        naive = "never"
    elif source.timestamp_format == "iso":
        naive = "iso"
    values = {
        "user_id_type": source.user_id_type,
        "item_id_type": source.item_id_type,
        "naive": naive,
        "time_zone": f"'{source.time_zone}'",
        "attributes": list(source.attributes),
        "min_date": f"'{source.min_date.isoformat()}'",
        "max_date": f"'{source.max_date.isoformat()}'",
        "event_types_known": bool(source.event_weights),
        "quarantine": [
            {"name": r.name, "where": portable(r.where, columns, engine.name)} for r in source.quarantine
        ],
        "exclude": [
            {"name": r.name, "where": portable(r.where, columns, engine.name)} for r in source.exclude
        ],
    }
    engine.table("event_weights", pa.table({"event_type": pa.array(list(source.event_weights), pa.string())}))
    engine.view("raw_rows", raw_rows(landing, source, engine.dialect))
    engine.materialise("repeated_rows", render("repeated_rows"))
    engine.view("typed_rows", render("typed_rows", values))
    engine.view("dated_rows", render("dated_rows", values))
    engine.write(render("judged_rows", values), folder, partition_by=("outcome", "day"))
    return int(engine.fetch("SELECT count(*) AS n FROM repeated_rows")["n"][0].as_py())


def _drop_delivered_again(
    source: Source, ledger: Ledger, engine: Engine, judged: Path, replaces: Sequence[int]
) -> None:
    """Move accepted rows that an earlier ingest has accepted too from accepted to duplicate."""
    days = sorted(folder.name.removeprefix("day=") for folder in (judged / "outcome=accepted").glob("day=*"))
    stored = [path for day in days for path in ledger.parts((day, day))]
    if not stored:
        return
    days = sorted({path.parent.name.removeprefix("event_date=") for path in stored})
    gone = ", ".join(map(str, [0, *ledger.replaced(), *replaces]))
    engine.parquet(
        "arrived",
        [p for day in days for p in sorted((judged / "outcome=accepted" / f"day={day}").glob("*.parquet"))],
    )
    engine.parquet("stored_parts", stored)
    engine.view("stored", f"SELECT * FROM stored_parts WHERE file_id NOT IN ({gone})")
    query = render("delivered_again", {"columns": [*VALUES, *source.attributes]})
    engine.materialise("delivered_again", query)
    if engine.fetch("SELECT count(*) AS n FROM delivered_again")["n"][0].as_py() == 0:
        return
    again = "SELECT a.*, CAST(a.event_date AS STRING) AS day FROM arrived AS a {} JOIN delivered_again AS d ON a.file_id = d.file_id AND a.line = d.line {}"
    kept, dropped = judged.parent / "kept", judged.parent / "dropped"
    engine.write(
        again.format("LEFT", "WHERE d.line IS NULL").replace("a.*", "a.*"), kept, partition_by=("day",)
    )
    engine.write(again.format("INNER", ""), dropped, partition_by=("day",))
    for day in days:
        shutil.rmtree(judged / "outcome=accepted" / f"day={day}")
        if (kept / f"day={day}").exists():
            (kept / f"day={day}").rename(judged / "outcome=accepted" / f"day={day}")
    (judged / "outcome=duplicate").mkdir(exist_ok=True)
    dropped.rename(judged / "outcome=duplicate" / "delivered_again")
    shutil.rmtree(kept, ignore_errors=True)


def _account(batch: Sequence[Arrival], landing: Landing, engine: Engine, judged: Path) -> dict[int, Counts]:
    """Return the accounting of each file, proven: what was read is what was judged or rejected."""
    counts = {arrival.raw.file_id: Counts() for arrival in batch}
    names = {
        "accepted": "accepted",
        "excluded": "excluded",
        "quarantined": "quarantined",
        "duplicate": "duplicates",
    }
    for outcome, name in names.items():
        paths = sorted((judged / f"outcome={outcome}").rglob("*.parquet"))
        if not paths:
            continue
        engine.parquet("judged", paths)
        for row in engine.fetch(render("outcomes")).to_pylist():
            count = counts[row["file_id"]]
            setattr(count, name, getattr(count, name) + row["n"])
            if row["rule"] is not None:
                count.rules[row["rule"]] = count.rules.get(row["rule"], 0) + row["n"]
    for file_id, rejected in landing.rejected.items():
        counts[file_id].quarantined += sum(rejected.values())
        counts[file_id].rules |= rejected
    for arrival in batch:
        count = counts[arrival.raw.file_id]
        count.read = landing.rows.get(arrival.raw.file_id, 0) + sum(
            landing.rejected.get(arrival.raw.file_id, {}).values()
        )
        if count.residual():
            raise AssertionError(f"{arrival.raw.name}: {count.residual()} rows are unaccounted for: {count}")
    return counts


def _keep(
    store: Store, landing: Landing, judged: Path, ingest_id: str
) -> tuple[dict[str, list[str]], list[str]]:
    """Move accepted and quarantined rows to their places in the store; return the paths, by day."""
    parts: dict[str, list[str]] = {}
    for folder in sorted((judged / "outcome=accepted").glob("day=*")):
        day = folder.name.removeprefix("day=")
        parts[day] = _move(store, folder, store.interactions / f"event_date={day}", ingest_id)
    quarantine: list[str] = []
    for folder in sorted((judged / "outcome=quarantined").glob("day=*")):
        day = folder.name.removeprefix("day=")
        quarantine += _move(store, folder, store.quarantine / f"event_date={day}", ingest_id)
    for place, path in enumerate(landing.rejects):
        target = store.quarantine / "event_date=unknown" / f"{ingest_id}-r{place:03d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        quarantine.append(str(target.relative_to(store.root)))
    return parts, quarantine


def _move(store: Store, source: Path, target: Path, ingest_id: str) -> list[str]:
    target.mkdir(parents=True, exist_ok=True)
    moved = []
    for place, path in enumerate(sorted(source.glob("*.parquet"))):
        path.rename(target / f"{ingest_id}-{place:03d}.parquet")
        moved.append(str((target / f"{ingest_id}-{place:03d}.parquet").relative_to(store.root)))
    return moved
