"""A check of the quality gate, the error of a refused night, and their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.runtime.errors import UserError


@dataclass(frozen=True)
class QualityCheck:
    """One row of the gate's table; `value` is the figure that was judged, None where nothing was."""

    check: str
    observed: str
    bound: str
    passed: bool
    value: float | None = None


class QualityRefusedError(UserError):
    """The gate's veto: readers keep the release they have; `checks` are all its rows."""

    def __init__(self, message: str, checks: list[QualityCheck]) -> None:
        super().__init__(message)
        self.checks = checks


def require_quality(as_of: str, release_id: str, checks: list[QualityCheck]) -> None:
    """Raise QualityRefusedError with the whole table if a check failed."""
    failed = sum(not one.passed for one in checks)
    if failed:
        head = (
            f"{as_of}: {failed} of {len(checks)} quality checks failed, so readers keep what they have."
            f' To publish it all the same: nightshelf publish {release_id} --force --reason "..."'
        )
        raise QualityRefusedError("\n".join([head, *table_lines(rows_of(checks))]), checks)


def rows_of(checks: Iterable[QualityCheck]) -> list[dict[str, Any]]:
    """Return the checks as plain rows, for a record and a manifest."""
    return [
        {
            "check": one.check,
            "observed": one.observed,
            "bound": one.bound,
            "passed": one.passed,
            "value": one.value,
        }
        for one in checks
    ]


def table_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the one table as lines of text: check, observed, bound, passed; those that failed first."""
    cells = [("check", "observed", "bound", "passed")]
    cells += [
        (row["check"], row["observed"], row["bound"], "yes" if row["passed"] else "NO")
        for row in sorted(rows, key=lambda row: bool(row["passed"]))
    ]
    widths = [max(len(row[at]) for row in cells) for at in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
    return [line.rstrip() for line in lines]


def not_judged(check: str, why: str) -> QualityCheck:
    """Return the row of a check that could not be made, and so passes."""
    return QualityCheck(check, why, "not judged", True)
