"""What has been taken in: one manifest an ingest, whose appearance is the ingest's commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.errors import StoreError
from tasks.store import Store, read_json, write_json_atomically


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
    """One committed ingest: files taken in, Parquet files written, earlier files that these replace."""

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


@dataclass
class Ledger:
    """All committed ingests of a store, oldest first."""

    store: Store
    manifests: list[IngestManifest] = field(default_factory=list)

    @classmethod
    def read(cls, store: Store) -> Ledger:
        """Read the ledger of a store; a store without one has an empty ledger."""
        paths = sorted(store.ingests.glob("*.json")) if store.ingests.is_dir() else []
        try:
            return cls(store, [IngestManifest.model_validate(read_json(path)) for path in paths])
        except ValueError as error:
            raise StoreError(f"{store.ingests}: an ingest manifest is damaged: {error}") from None

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
        return f"{len(self.manifests) + 1:06d}"

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


def total(files: Iterable[TakenFile]) -> Counts:
    """Return the accounting of some files together."""
    counts = Counts()
    for file in files:
        counts.add(file.counts)
    return counts


def now() -> datetime:
    """Return the time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
