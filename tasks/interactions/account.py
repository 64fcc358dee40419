"""The account of a file's rows: how many were read, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from pydantic import BaseModel, ConfigDict

from tasks.runtime.wording import counted

EXAMPLES = 3  # of files, in a sentence


class Counts(BaseModel):
    """The account of rows: read = accepted + excluded + quarantined + duplicates, exactly."""

    model_config = ConfigDict(extra="forbid")

    read: int = 0
    accepted: int = 0
    excluded: int = 0
    quarantined: int = 0
    duplicates: int = 0
    rules: dict[str, int] = {}

    def residual(self) -> int:
        """Return the rows that the account does not explain; anything but 0 is a bug."""
        return self.read - self.accepted - self.excluded - self.quarantined - self.duplicates

    def book(self, outcome: str, rule: str | None, rows: int) -> None:
        """Count rows under an outcome (a field name) and the rule that decided it."""
        setattr(self, outcome, getattr(self, outcome) + rows)
        if rule is not None:
            self.rules[rule] = self.rules.get(rule, 0) + rows

    def add(self, counts: Counts) -> None:
        """Add another account to this account."""
        for name in ("read", "accepted", "excluded", "quarantined", "duplicates"):
            setattr(self, name, getattr(self, name) + getattr(counts, name))
        for rule, rows in counts.rules.items():
            self.rules[rule] = self.rules.get(rule, 0) + rows


class IngestedFile(BaseModel):
    """An ingested file; `first_day` and `last_day` are the period that its name gives.

    `days` counts its accepted rows by day; it is empty in manifests written before this field
    existed. `absent` are the optional columns that it lacks. `size` and `sha256` are those of all
    that was read of it. If lines were appended to it, only these are its rows: `continues` is the
    hash of what was read before.
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
    continues: str = ""
    absent: list[str] = []

    def known_on(self, as_of: date) -> bool:
        """Return whether the period in the file's name, if any, had begun by the end of a date."""
        return self.first_day is None or self.first_day <= as_of

    def covers(self, as_of: date) -> bool:
        """Return whether the period in the file's name includes this date."""
        return (
            self.first_day is not None
            and self.last_day is not None
            and (self.first_day <= as_of <= self.last_day)
        )


def absent_columns(files: Iterable[IngestedFile]) -> dict[str, list[str]]:
    """Return the optional columns that some files lack, and the addresses of these files."""
    lacking: dict[str, list[str]] = {}
    for file in files:
        for column in file.absent:
            lacking.setdefault(column, []).append(file.address)
    return lacking


def absence(column: str, addresses: Sequence[str]) -> str:
    """Return the sentence about a column that some files lack."""
    examples = ", ".join(addresses[:EXAMPLES]) + (", ..." if len(addresses) > EXAMPLES else "")
    files = counted(len(addresses), "file")
    return f"column {column!r} is empty in {files}, which lack{'s' * (len(addresses) == 1)} it ({examples})"


def heads(files: Iterable[IngestedFile]) -> list[IngestedFile]:
    """Return the files without those that another one continues."""
    files = list(files)
    continued = {file.continues for file in files}
    return [file for file in files if file.sha256 not in continued]


def total(files: Iterable[IngestedFile]) -> Counts:
    """Return the sum of the accounts of several files."""
    counts = Counts()
    for file in files:
        counts.add(file.counts)
    return counts
