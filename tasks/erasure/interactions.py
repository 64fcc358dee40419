"""Users removed from what was taken in: accepted events, quarantined rows, and the account of both."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sql.source import FORGOTTEN
from tasks.erasure.wanted import Change, Wanted, counted
from tasks.interactions.account import TakenFile
from tasks.interactions.forgotten import screened
from tasks.interactions.ledger import IngestManifest, Ledger
from tasks.interactions.sweep import sweep
from tasks.store.files import sync_all, write_json_atomically, writing
from tasks.store.hashes import hashes_of
from tasks.store.layout import Store

_BATCH: Final = 1 << 17  # rows


@dataclass
class _Found:
    """Rows that go: accepted ones by file and day, refused ones by file and rule; and what is rewritten."""

    accepted: Counter[tuple[int, str]] = field(default_factory=Counter)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)
    texts: int = 0
    parts: int = 0
    refused_parts: int = 0


def erase_interactions(store: Store, wanted: Wanted, *, dry_run: bool) -> list[Change]:
    """Rewrite the Parquet files that hold their rows, and the ingest manifests that name them.

    A manifest is replaced once its new files are on the disk, and the old ones are removed after that: a
    crash leaves the one or the other, and files that no manifest names, which the next sweep removes. The
    caller holds the store's lock, and no run reads the interactions. DamagedError when a file is not as it
    was written, so that a rewritten one would pass for whole.
    """
    ledger, total = Ledger.read(store), _Found()
    ledger.require_whole([store.root / part for one in ledger.living() for part in one.written()])
    if not dry_run:
        sweep(store, ledger)
    for manifest in ledger.living():
        found = _Found()
        parts = {
            day: [_events(store.root / part, day, wanted, found, dry_run=dry_run) for part in paths]
            for day, paths in manifest.parts.items()
        }
        refused = [
            _quarantine(store.root / part, wanted, found, dry_run=dry_run) for part in manifest.quarantine
        ]
        total.accepted.update(found.accepted)
        total.refused.update(found.refused)
        total.texts += found.texts
        total.parts, total.refused_parts = (
            total.parts + found.parts,
            total.refused_parts + found.refused_parts,
        )
        if not dry_run and (found.parts or found.refused_parts):
            _commit(store, manifest, parts, refused, found)
    refused_rows = total.refused.total()
    return [
        *counted("interactions", "accepted events", total.accepted.total(), total.parts),
        *counted("quarantine", "refused rows", refused_rows, total.refused_parts if refused_rows else 0),
        *counted(
            "quarantine", "texts of rows whose user cannot be read, or that name them", total.texts,
            total.refused_parts if total.texts else 0,
        ),
    ]  # fmt: skip


def _commit(
    store: Store,
    manifest: IngestManifest,
    parts: dict[str, list[Path | None]],
    refused: list[Path | None],
    found: _Found,
) -> None:
    """Replace a manifest by one that names the rewritten files, and remove those that it named before."""
    days = {day: [path for path in paths if path is not None] for day, paths in parts.items()}
    kept = [path for path in refused if path is not None]
    files = [path for paths in days.values() for path in paths] + kept
    with writing(store.root):
        sync_all([*files, *{path.parent for path in files}])
    named = _named(store, files)
    known = {path: one for path, one in manifest.hashes.items() if path in named}
    made = [path for path in named if path not in known]
    hashes = dict(zip(made, hashes_of([store.root / path for path in made]), strict=True))
    new = manifest.model_copy(
        update={
            "hashes": known | hashes,
            "files": [_accounted(file, found) for file in manifest.files],
            "parts": {day: _named(store, paths) for day, paths in days.items() if paths},
            "quarantine": _named(store, kept),
        }
    )
    write_json_atomically(store.ingest(manifest.ingest_id), new.model_dump(mode="json"))
    with writing(store.root):
        for part in {store.root / part for part in manifest.written()} - set(files):
            part.unlink(missing_ok=True)


def _named(store: Store, paths: list[Path]) -> list[str]:
    return [str(path.relative_to(store.root)) for path in paths]


def _accounted(file: TakenFile, found: _Found) -> TakenFile:
    """Return a file whose removed rows count as excluded by the rule `forgotten`: the account closes."""
    accepted = {day: n for (file_id, day), n in found.accepted.items() if file_id == file.file_id}
    refused = {rule: n for (file_id, rule), n in found.refused.items() if file_id == file.file_id}
    gone = sum(accepted.values()) + sum(refused.values())
    if not gone:
        return file
    counts, rules = file.counts.model_copy(deep=True), Counter(file.counts.rules)
    counts.accepted -= sum(accepted.values())
    counts.quarantined -= sum(refused.values())
    rules.subtract(refused)
    counts.rules = {rule: n for rule, n in rules.items() if n}
    counts.book("excluded", FORGOTTEN, gone)
    days = Counter(file.days)
    days.subtract({day: n for day, n in accepted.items() if day in days})
    if counts.residual() or min(counts.accepted, counts.quarantined, *rules.values(), *days.values()) < 0:
        raise AssertionError(f"{file.address}: the account does not close after the removal: {counts}")
    return file.model_copy(update={"counts": counts, "days": {day: n for day, n in days.items() if n}})


def _events(path: Path, day: str, wanted: Wanted, found: _Found, *, dry_run: bool) -> Path | None:
    """Return the file with the accepted events that stay: as it is, or a new one, or none if none stay."""
    with pq.ParquetFile(path) as file:
        users = file.read(["user_id"])["user_id"]
        mask = wanted.among(users)
        if not pc.any(mask).as_py():
            return path
        found.parts += 1
        new, stay = _next_name(path), len(users) - pc.sum(mask).as_py()
        writer = None if dry_run or not stay else pq.ParquetWriter(new, file.schema_arrow, compression="zstd")
        try:
            for batch in file.iter_batches(_BATCH):
                gone = _sorted_out(pa.Table.from_batches([batch]), wanted, writer)
                found.accepted.update((file_id, day) for file_id in gone["file_id"].to_pylist())
        finally:
            if writer is not None:
                writer.close()
    return new if stay else None


def _sorted_out(table: Any, wanted: Wanted, writer: Any) -> Any:
    """Return the rows of a batch that go, their items noted, and write the others."""
    mask = wanted.among(table["user_id"])
    gone = table.filter(mask)
    wanted.items.update(gone["item_id"].to_pylist())
    if writer is not None:
        writer.write_table(table.filter(pc.invert(mask)))
    return gone


def _quarantine(path: Path, wanted: Wanted, found: _Found, *, dry_run: bool) -> Path | None:
    """Return the file with the quarantined rows that stay: as it is, or a new one, or none if none stay."""
    with pq.ParquetFile(path) as file:
        table = file.read()
    wanted.among(table["user_id"])
    kept = screened(table, wanted.listed)
    if kept.equals(table):
        return path
    found.refused_parts += 1
    gone = table.filter(pc.is_in(table["user_id"], value_set=_listed_users(table, kept)))
    found.refused.update(zip(gone["file_id"].to_pylist(), gone["rule"].to_pylist(), strict=True))
    found.texts += kept["raw"].null_count - (table["raw"].null_count - gone["raw"].null_count)
    if not kept.num_rows:
        return None
    new = _next_name(path)
    if not dry_run:
        pq.write_table(kept, new, compression="zstd")
    return new


def _listed_users(table: Any, kept: Any) -> Any:
    """Return the users of a table who are not in what is kept of it."""
    users = pc.unique(table["user_id"].combine_chunks()).drop_null()
    return users.filter(pc.invert(pc.is_in(users, value_set=pc.unique(kept["user_id"].combine_chunks()))))


def _next_name(path: Path) -> Path:
    """Return the name of a file that takes the place of another: 000001-000, 000001-000-e1, -e2..."""
    number = re.search(r"-e(\d+)$", path.stem)
    stem, before = (path.stem[: number.start()], int(number[1])) if number else (path.stem, 0)
    return path.with_name(f"{stem}-e{before + 1}.parquet")
