"""Users removed from ingested logs: accepted events, quarantined rows, and the account of both."""

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
from tasks.erasure.subjects import Change, Subjects, change_if_any
from tasks.interactions.account import IngestedFile
from tasks.interactions.forgotten import without_forgotten
from tasks.interactions.ledger import IngestManifest, Ledger, sweep
from tasks.store.files import sync_all, write_json_atomically, writing
from tasks.store.hashes import hashes_of
from tasks.store.layout import Store

_BATCH: Final = 1 << 17  # rows


@dataclass
class _Removed:
    """Removed rows: accepted by file and day, refused by file and rule; and files rewritten."""

    accepted: Counter[tuple[int, str]] = field(default_factory=Counter)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)
    texts: int = 0
    parts: int = 0
    refused_parts: int = 0

    def add(self, more: _Removed) -> None:
        """Add the counts of one ingest."""
        self.accepted.update(more.accepted)
        self.refused.update(more.refused)
        self.texts += more.texts
        self.parts += more.parts
        self.refused_parts += more.refused_parts


def erase_interactions(store: Store, subjects: Subjects, *, dry_run: bool) -> list[Change]:
    """Rewrite the Parquet files that hold their rows, and the ingest manifests that name them.

    A manifest is replaced once its new files are on disk; the old files are removed after that. A
    crash therefore leaves the old or the new manifest, and orphans that the next sweep removes. The
    caller holds the store's lock, and no run reads the interactions.

    Raises
    ------
    DamagedError
        If a file differs from its recorded hash: a rewritten copy would hide the damage.
    """
    ledger, total = Ledger.read(store), _Removed()
    ledger.require_whole(
        [store.root / part for manifest in ledger.live_manifests() for part in manifest.parquet_paths()]
    )
    if not dry_run:
        sweep(store, ledger)
    for manifest in ledger.live_manifests():
        removed = _Removed()
        parts = {
            day: [
                _rewrite_events(store.root / part, day, subjects, removed, dry_run=dry_run) for part in paths
            ]
            for day, paths in manifest.parts.items()
        }
        refused = [
            _rewrite_quarantine(store.root / part, subjects, removed, dry_run=dry_run)
            for part in manifest.quarantine
        ]
        total.add(removed)
        if not dry_run and (removed.parts or removed.refused_parts):
            _commit(store, manifest, parts, refused, removed)
    refused_rows = total.refused.total()
    return [
        *change_if_any("interactions", "accepted events", total.accepted.total(), total.parts),
        *change_if_any(
            "quarantine", "refused rows", refused_rows, total.refused_parts if refused_rows else 0
        ),
        *change_if_any(
            "quarantine", "texts of rows whose user cannot be read, or that name them", total.texts,
            total.refused_parts if total.texts else 0,
        ),
    ]  # fmt: skip


def _commit(
    store: Store,
    manifest: IngestManifest,
    parts: dict[str, list[Path | None]],
    refused: list[Path | None],
    removed: _Removed,
) -> None:
    """Replace a manifest by one that names the rewritten files; remove the files they replace."""
    days = {day: [path for path in paths if path is not None] for day, paths in parts.items()}
    kept = [path for path in refused if path is not None]
    files = [path for paths in days.values() for path in paths] + kept
    with writing(store.root):
        sync_all([*files, *{path.parent for path in files}])
    named = _relative(store, files)
    known = {path: recorded for path, recorded in manifest.hashes.items() if path in named}
    written = [path for path in named if path not in known]
    hashes = dict(zip(written, hashes_of([store.root / path for path in written]), strict=True))
    new = manifest.model_copy(
        update={
            "hashes": known | hashes,
            "files": [_updated_account(file, removed) for file in manifest.files],
            "parts": {day: _relative(store, paths) for day, paths in days.items() if paths},
            "quarantine": _relative(store, kept),
        }
    )
    write_json_atomically(store.ingest(manifest.ingest_id), new.model_dump(mode="json"))
    with writing(store.root):
        for part in {store.root / part for part in manifest.parquet_paths()} - set(files):
            part.unlink(missing_ok=True)


def _relative(store: Store, paths: list[Path]) -> list[str]:
    return [str(path.relative_to(store.root)) for path in paths]


def _updated_account(file: IngestedFile, removed: _Removed) -> IngestedFile:
    """Return a file's account with its removed rows counted as excluded by the rule `forgotten`."""
    accepted = {day: n for (file_id, day), n in removed.accepted.items() if file_id == file.file_id}
    refused = {rule: n for (file_id, rule), n in removed.refused.items() if file_id == file.file_id}
    removed_rows = sum(accepted.values()) + sum(refused.values())
    if not removed_rows:
        return file
    counts, rules = file.counts.model_copy(deep=True), Counter(file.counts.rules)
    counts.accepted -= sum(accepted.values())
    counts.quarantined -= sum(refused.values())
    rules.subtract(refused)
    counts.rules = {rule: n for rule, n in rules.items() if n}
    counts.book("excluded", FORGOTTEN, removed_rows)
    days = Counter(file.days)
    days.subtract({day: n for day, n in accepted.items() if day in days})
    if counts.residual() or min(counts.accepted, counts.quarantined, *rules.values(), *days.values()) < 0:
        raise AssertionError(f"{file.address}: the account does not close after the removal: {counts}")
    return file.model_copy(update={"counts": counts, "days": {day: n for day, n in days.items() if n}})


def _rewrite_events(
    path: Path, day: str, subjects: Subjects, removed: _Removed, *, dry_run: bool
) -> Path | None:
    """Return the file of the remaining events: unchanged, rewritten, or None if none remain."""
    with pq.ParquetFile(path) as file:
        users = file.read(["user_id"])["user_id"]
        mask = subjects.match(users)
        if not pc.any(mask).as_py():
            return path
        removed.parts += 1
        new, stay = _next_name(path), len(users) - pc.sum(mask).as_py()
        writer = None if dry_run or not stay else pq.ParquetWriter(new, file.schema_arrow, compression="zstd")
        try:
            for batch in file.iter_batches(_BATCH):
                removed_rows = _remove_rows(pa.Table.from_batches([batch]), subjects, writer)
                removed.accepted.update((file_id, day) for file_id in removed_rows["file_id"].to_pylist())
        finally:
            if writer is not None:
                writer.close()
    return new if stay else None


def _remove_rows(table: Any, subjects: Subjects, writer: Any) -> Any:
    """Write the remaining rows of a batch, note the items of the removed rows, and return these."""
    mask = subjects.match(table["user_id"])
    removed_rows = table.filter(mask)
    subjects.items.update(removed_rows["item_id"].to_pylist())
    if writer is not None:
        writer.write_table(table.filter(pc.invert(mask)))
    return removed_rows


def _rewrite_quarantine(path: Path, subjects: Subjects, removed: _Removed, *, dry_run: bool) -> Path | None:
    """Return the file of the remaining rows: unchanged, rewritten, or None if none remain."""
    with pq.ParquetFile(path) as file:
        table = file.read()
    subjects.match(table["user_id"])
    kept = without_forgotten(table, subjects.listed)
    if kept.equals(table):
        return path
    removed.refused_parts += 1
    removed_rows = table.filter(pc.is_in(table["user_id"], value_set=_listed_users(table, kept)))
    removed.refused.update(
        zip(removed_rows["file_id"].to_pylist(), removed_rows["rule"].to_pylist(), strict=True)
    )
    removed.texts += kept["raw"].null_count - (table["raw"].null_count - removed_rows["raw"].null_count)
    if not kept.num_rows:
        return None
    new = _next_name(path)
    if not dry_run:
        pq.write_table(kept, new, compression="zstd")
    return new


def _listed_users(table: Any, kept: Any) -> Any:
    """Return the users of a table who are missing from the rows kept of it."""
    users = pc.unique(table["user_id"].combine_chunks()).drop_null()
    return users.filter(pc.invert(pc.is_in(users, value_set=pc.unique(kept["user_id"].combine_chunks()))))


def _next_name(path: Path) -> Path:
    """Return the name of a file's successor: 000001-000, 000001-000-e1, -e2..."""
    number = re.search(r"-e(\d+)$", path.stem)
    stem, before = (path.stem[: number.start()], int(number[1])) if number else (path.stem, 0)
    return path.with_name(f"{stem}-e{before + 1}.parquet")
