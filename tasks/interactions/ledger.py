"""What was ingested: a manifest for each ingest, which is committed once it appears."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from tasks.configuration.fingerprints import source_fingerprint
from tasks.interactions.account import Counts, IngestedFile, total
from tasks.interactions.row_settings import RowSettings, row_settings
from tasks.runtime.errors import DamagedError, StoreError
from tasks.runtime.progress import Report, silent
from tasks.store.files import read_json, write_json_atomically, writing
from tasks.store.hashes import FileHash, differences
from tasks.store.layout import Store

if TYPE_CHECKING:
    from tasks.configuration.sources import WithSources

REBUILD: Final = "ingest the logs again with `nightshelf ingest --rebuild`"
RESTORE: Final = f"restore it from a backup, or remove it and {REBUILD}"


class IngestManifest(BaseModel):
    """One committed ingest: files ingested, Parquet files written, and earlier files replaced.

    `hashes` maps each Parquet file's path in the store to its hash; ingests of version 0.1 have
    none. `source` are the settings that decided the rows (`row_settings`), empty in manifests
    written before this field existed, and `source_name` is the name of that source, "" if it has none.
    All files of an ingest are of one source. `kept` are earlier files whose rows stay as they were read: a
    rebuild could not read them again.
    """

    model_config = ConfigDict(extra="forbid")

    ingest_id: str
    as_of: date
    created_at: datetime
    fingerprint: str
    engine: str
    files: list[IngestedFile]
    parts: dict[str, list[str]]
    quarantine: list[str]
    replaces: list[int]
    repeated_before_rules: int
    hashes: dict[str, FileHash] = {}
    source: dict[str, Any] = {}
    source_name: str = ""
    kept: list[int] = []

    def parquet_paths(self) -> list[str]:
        """Return the paths in the store of all Parquet files that the ingest wrote."""
        return [*(part for parts in self.parts.values() for part in parts), *self.quarantine]


@dataclass
class Ledger:
    """All committed ingests of a store, oldest first."""

    store: Store
    manifests: list[IngestManifest] = field(default_factory=list)

    @classmethod
    def read(cls, store: Store) -> Ledger:
        """Read the ledger of a store; it is empty if nothing was ingested."""
        return cls(store, [read_manifest(path) for path in manifest_paths(store)])

    def up_to(self, ingest_id: str | None) -> Ledger:
        """Return the ledger as it was right after this ingest; for None, the empty ledger.

        Later ingests only add to it: `tasks.interactions.ingest` replaces no file that a run reads.
        """
        if ingest_id is None:
            return Ledger(self.store, [])
        return Ledger(self.store, [m for m in self.manifests if m.ingest_id <= ingest_id])

    def commit(self, manifest: IngestManifest) -> None:
        """Add a manifest atomically; from now on its rows are interactions."""
        write_json_atomically(self.store.ingest(manifest.ingest_id), manifest.model_dump(mode="json"))
        self.manifests.append(manifest)

    def next_ingest_id(self) -> str:
        """Return the id of the next ingest: consecutive numbers of six digits."""
        return f"{1 + max((int(manifest.ingest_id) for manifest in self.manifests), default=0):06d}"

    def next_file_id(self) -> int:
        """Return the id of the next file."""
        return 1 + max((file.file_id for manifest in self.manifests for file in manifest.files), default=0)

    def replaced(self) -> set[int]:
        """Return the ids of replaced files."""
        return {file_id for manifest in self.manifests for file_id in manifest.replaces}

    def files(self) -> list[IngestedFile]:
        """Return the files that were not replaced."""
        replaced = self.replaced()
        return [
            file for manifest in self.manifests for file in manifest.files if file.file_id not in replaced
        ]

    def live_manifests(self, replaced: Sequence[int] = ()) -> list[IngestManifest]:
        """Return the manifests with a file left, once the `replaced` files are replaced as well."""
        dead = self.replaced() | set(replaced)
        return [
            manifest
            for manifest in self.manifests
            if any(file.file_id not in dead for file in manifest.files)
        ]

    def with_rows(self, replaced: Sequence[int] = ()) -> list[IngestManifest]:
        """Return the manifests with accepted rows left, once the `replaced` files are replaced.

        Parquet files of the remaining manifests must not be opened: their columns may have other
        types.
        """
        dead = self.replaced() | set(replaced)
        return [
            manifest
            for manifest in self.manifests
            if any(file.file_id not in dead and file.counts.accepted for file in manifest.files)
        ]

    def settings(self, configuration: WithSources) -> dict[str, RowSettings]:
        """Return the settings that decided the rows of each ingest, by its id; some are unknown.

        An ingest that recorded none has the present ones if its fingerprint is the present one, or
        those of a later ingest with the same fingerprint.
        """
        by_fingerprint = {source_fingerprint(s): row_settings(s) for s in configuration.sources}
        by_fingerprint |= {m.fingerprint: m.source for m in self.manifests if m.source}
        found = {m.ingest_id: m.source or by_fingerprint.get(m.fingerprint) for m in self.manifests}
        return {ingest_id: settings for ingest_id, settings in found.items() if settings}

    def kept(self) -> dict[int, date]:
        """Return the ids of files that a rebuild could not read again, and the day of the first."""
        since: dict[int, date] = {}
        for manifest in self.manifests:
            for file_id in manifest.kept:
                since.setdefault(file_id, manifest.created_at.date())
        return {file.file_id: since[file.file_id] for file in self.files() if file.file_id in since}

    def parts(self, days: tuple[str | None, str | None] = (None, None)) -> list[Path]:
        """Return the Parquet files of interactions from first to last of `days`, inclusive."""
        first, last = days
        return [
            self.store.root / part
            for manifest in self.with_rows()
            for day, parts in sorted(manifest.parts.items())
            if (first is None or day >= first) and (last is None or day <= last)
            for part in parts
        ]

    def require_whole(
        self, parts: Collection[Path], report: Report = silent, *, remedy: str = REBUILD
    ) -> None:
        """Raise DamagedError if any of these Parquet files differs from what its ingest wrote.

        Files of ingests that recorded no hashes are not checked. `remedy` ends the message.
        """
        recorded = {
            self.store.root / path: file_hash
            for manifest in self.manifests
            for path, file_hash in manifest.hashes.items()
        }
        expected = {path: recorded[path] for path in parts if path in recorded}
        damaged = differences(expected, report, "checking the interactions")
        for path, problem in sorted(damaged.items()):
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise DamagedError(f"{path}{more}: {problem}; {remedy}. `nightshelf verify` lists all damage")

    def require_kept_whole(self, kept: Sequence[IngestedFile]) -> None:
        """Raise DamagedError if stored rows of files that are gone are damaged."""
        for manifest in self.with_rows():
            for file in manifest.files:
                if file in kept and file.counts.accepted:
                    remedy = (
                        f"its log {file.address} is gone: restore it from a backup, or remove "
                        f"{self.store.ingest(manifest.ingest_id)} to go on without its rows, and {REBUILD}"
                    )
                    parts = [self.store.root / part for parts in manifest.parts.values() for part in parts]
                    self.require_whole(parts, remedy=remedy)
                    break

    def counts(self) -> Counts:
        """Return the account of all files that were not replaced."""
        return total(self.files())

    def known_on(self, as_of: date) -> Counts:
        """Return the account of files dated up to `as_of`; later files belong to later nights."""
        return total(file for file in self.files() if file.known_on(as_of))

    def about(self, as_of: date) -> Counts:
        """Return the account of a date's files."""
        return total(self.files_about(as_of))

    def files_about(self, as_of: date) -> list[IngestedFile]:
        """Return a date's files, by the date in the name or else of the ingest."""
        ingested_for = {f.file_id for m in self.manifests if m.as_of == as_of for f in m.files}
        return [f for f in self.files() if (f.covers(as_of) if f.first_day else f.file_id in ingested_for)]

    def facts(self) -> dict[str, Any]:
        """Return the entry of a release's manifest about its input files."""
        keep = {"file_id", "address", "sha256", "size", "counts"}
        files = [file.model_dump(mode="json", include=keep) for file in self.files()]
        names = {file.file_id: m.source_name for m in self.manifests if m.source_name for file in m.files}
        kept = self.kept()
        for file in files:
            if since := kept.get(file["file_id"]):
                file["not_read_again_since"] = since.isoformat()
            if name := names.get(file["file_id"]):
                file["source"] = name
        return {"files": files}


def manifest_paths(store: Store) -> list[Path]:
    """Return the paths of the manifests of committed ingests, oldest first."""
    return sorted(store.ingests.glob("*.json")) if store.ingests.is_dir() else []


def read_manifest(path: Path) -> IngestManifest:
    """Return a committed ingest; DamagedError if its manifest cannot be read."""
    try:
        return IngestManifest.model_validate(read_json(path))
    except (StoreError, ValueError) as error:
        raise DamagedError(f"{path}: the record of an ingest is damaged: {error}; {RESTORE}") from None


def sweep(store: Store, ledger: Ledger) -> int:
    """Remove the leftovers of killed ingests; return the number of files removed.

    Leftovers are Parquet files that no committed manifest names, empty folders of days, and
    half-written manifests.
    """
    named = {store.root / path for manifest in ledger.live_manifests() for path in manifest.parquet_paths()}
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
