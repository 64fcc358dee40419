"""What has been taken in: one manifest an ingest, whose appearance is the ingest's commit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tasks.interactions.account import Counts, TakenFile, total
from tasks.runtime.errors import DamagedError, StoreError
from tasks.runtime.progress import Report, silent
from tasks.store.files import read_json, write_json_atomically
from tasks.store.hashes import FileHash, differences
from tasks.store.layout import Store

REBUILD: Final = "take the logs in again with `nightshelf ingest --rebuild`"
WITHOUT: Final = f"put it back from a backup, or remove it and {REBUILD}"


class IngestManifest(BaseModel):
    """One committed ingest: files taken in, Parquet files written, earlier files that these replace.

    `hashes` are those of the Parquet files, by their paths in the store; ingests of 0.1 recorded none.
    """

    model_config = ConfigDict(extra="forbid")

    ingest_id: str
    as_of: date
    created_at: datetime
    fingerprint: str
    engine: str
    files: list[TakenFile]
    parts: dict[str, list[str]]
    quarantine: list[str]
    replaces: list[int]
    repeated_before_rules: int
    hashes: dict[str, FileHash] = {}

    def written(self) -> list[str]:
        """Return the paths in the store of all Parquet files that the ingest wrote."""
        return [*(part for parts in self.parts.values() for part in parts), *self.quarantine]


@dataclass
class Ledger:
    """All committed ingests of a store, oldest first."""

    store: Store
    manifests: list[IngestManifest] = field(default_factory=list)

    @classmethod
    def read(cls, store: Store) -> Ledger:
        """Read the ledger of a store; a store without one has an empty ledger."""
        return cls(store, [read_manifest(path) for path in manifest_paths(store)])

    def up_to(self, ingest_id: str | None) -> Ledger:
        """Return the ledger as it was once this ingest was committed; before the first, if it is None.

        What others commit meanwhile only adds to it: see `tasks.interactions.ingest` on replaced files.
        """
        manifests = [one for one in self.manifests if ingest_id is not None and one.ingest_id <= ingest_id]
        return Ledger(self.store, manifests)

    def commit(self, manifest: IngestManifest) -> None:
        """Add a manifest, atomically; from now on its rows are interactions."""
        write_json_atomically(self.store.ingest(manifest.ingest_id), manifest.model_dump(mode="json"))
        self.manifests.append(manifest)

    def next_ingest_id(self) -> str:
        """Return the id of the next ingest: numbers in order."""
        return f"{1 + max((int(one.ingest_id) for one in self.manifests), default=0):06d}"

    def next_file_id(self) -> int:
        """Return the id of the next file."""
        return 1 + max((file.file_id for manifest in self.manifests for file in manifest.files), default=0)

    def replaced(self) -> set[int]:
        """Return the ids of files whose rows no longer count."""
        return {file_id for manifest in self.manifests for file_id in manifest.replaces}

    def files(self) -> list[TakenFile]:
        """Return the files whose rows count."""
        gone = self.replaced()
        return [file for manifest in self.manifests for file in manifest.files if file.file_id not in gone]

    def living(self, replaced: Sequence[int] = ()) -> list[IngestManifest]:
        """Return the manifests with a file that counts, once those of `replaced` no longer do.

        Parquet files of the others are not even opened: their columns may have had other types.
        """
        gone = self.replaced() | set(replaced)
        return [
            manifest
            for manifest in self.manifests
            if any(file.file_id not in gone for file in manifest.files)
        ]

    def parts(self, days: tuple[str | None, str | None] = (None, None)) -> list[Path]:
        """Return the Parquet files of interactions, from the first to the last of `days` (both included)."""
        first, last = days
        return [
            self.store.root / part
            for manifest in self.living()
            for day, parts in sorted(manifest.parts.items())
            if (first is None or day >= first) and (last is None or day <= last)
            for part in parts
        ]

    def parts_by_day(self, days: Sequence[str], replaced: Sequence[int] = ()) -> dict[str, list[Path]]:
        """Return the Parquet files of interactions, by `days`, once files `replaced` no longer count."""
        living = self.living(replaced)
        return {
            day: [self.store.root / part for manifest in living for part in manifest.parts.get(day, [])]
            for day in days
        }

    def require_whole(self, parts: Collection[Path], report: Report = silent) -> None:
        """Raise DamagedError if one of these Parquet files is not as its ingest wrote it.

        Those of ingests that recorded no hashes are not looked at.
        """
        recorded = {
            self.store.root / path: one
            for manifest in self.manifests
            for path, one in manifest.hashes.items()
        }
        wanted = {path: recorded[path] for path in parts if path in recorded}
        damaged = differences(wanted, report, "checking the interactions")
        for path, problem in sorted(damaged.items()):
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise DamagedError(f"{path}{more}: {problem}; {REBUILD}. `nightshelf verify` lists all damage")

    def counts(self) -> Counts:
        """Return the accounting of all files whose rows count."""
        return total(self.files())

    def known_on(self, as_of: date) -> Counts:
        """Return the accounting of the files up to a date: those dated later are other nights' to judge."""
        return total(file for file in self.files() if file.known_on(as_of))

    def about(self, as_of: date) -> Counts:
        """Return the accounting of the files about a date; where names tell none, of those it took in."""
        taken_for = {f.file_id for m in self.manifests if m.as_of == as_of for f in m.files}
        return total(f for f in self.files() if (f.covers(as_of) if f.first_day else f.file_id in taken_for))

    def facts(self) -> dict[str, Any]:
        """Return what a release's manifest says about its input."""
        keep = {"file_id", "address", "sha256", "size", "counts"}
        return {"files": [file.model_dump(mode="json", include=keep) for file in self.files()]}


def manifest_paths(store: Store) -> list[Path]:
    """Return the files of the committed ingests, the oldest first."""
    return sorted(store.ingests.glob("*.json")) if store.ingests.is_dir() else []


def read_manifest(path: Path) -> IngestManifest:
    """Return one committed ingest; DamagedError when its file is not as it was written."""
    try:
        return IngestManifest.model_validate(read_json(path))
    except (StoreError, ValueError) as error:
        raise DamagedError(f"{path}: the record of an ingest is damaged: {error}; {WITHOUT}") from None
