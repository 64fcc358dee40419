"""The account of the rows of a file: what was read and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pydantic import BaseModel, ConfigDict


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


def total(files: Iterable[TakenFile]) -> Counts:
    """Return the accounting of some files together."""
    counts = Counts()
    for file in files:
        counts.add(file.counts)
    return counts
