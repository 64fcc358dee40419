"""What has been taken in: one manifest an ingest, whose appearance is the ingest's commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tasks.errors import DamagedError, StoreError
from tasks.file_hashes import FileHash, differences
from tasks.progress import Report, silent
from tasks.store import Store, read_json, write_json_atomically

REBUILD: Final = "take the logs in again with `nightshelf ingest --rebuild`"
WITHOUT: Final = f"put it back from a backup, or remove it and {REBUILD}"


class Counts(BaseModel):
    """The row accounting: read = accepted + excluded + quarantined + duplicates, exactly."""

    model_config = ConfigDict(extra="forbid")

    read: int = 0
    accepted: int = 0
    excluded: int = 0
    quarantined: int = 0
    duplicates: int = 0
    rules: dict[str, int] = {}

    def residual(self) -> int:
        """Return the rows that the accounting cannot explain: 0, or the program is wrong."""
        return self.read - self.accepted - self.excluded - self.quarantined - self.duplicates

    def book(self, outcome: str, rule: str | None, rows: int) -> None:
        """Count rows under an outcome (the name of a field) and the rule that decided about them."""
        setattr(self, outcome, getattr(self, outcome) + rows)
        if rule is not None:
            self.rules[rule] = self.rules.get(rule, 0) + rows

    def add(self, other: Counts) -> None:
        """Add another account to this one."""
        for name in ("read", "accepted", "excluded", "quarantined", "duplicates"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for rule, rows in other.rules.items():
            self.rules[rule] = self.rules.get(rule, 0) + rows


class TakenFile(BaseModel):
    """A file that was taken in; `first_day` and `last_day` are what its name says it is about.

    `days` counts its accepted rows by day; it is empty in manifests that are older than it.
    """

    model_config = ConfigDict(extra="forbid")

    file_id: int
    address: str
    sha256: str
    size: int
    stamp: str
    counts: Counts
    first_day: date | None = None
    last_day: date | None = None
    days: dict[str, int] = {}

    def known_on(self, as_of: date) -> bool:
        """Tell whether what the file is about had begun by the end of a date, as far as its name says."""
        return self.first_day is None or self.first_day <= as_of

    def covers(self, as_of: date) -> bool:
        """Tell whether the file's name says that it is about this date."""
        return (
            self.first_day is not None
            and self.last_day is not None
            and (self.first_day <= as_of <= self.last_day)
        )


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

        What others commit meanwhile only adds to it: see `tasks.interactions` on replaced files.
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


def total(files: Iterable[TakenFile]) -> Counts:
    """Return the accounting of some files together."""
    counts = Counts()
    for file in files:
        counts.add(file.counts)
    return counts


def now() -> datetime:
    """Return the time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
