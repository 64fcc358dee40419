"""A check of the quality gate, the error of a refused night, and their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tasks.runtime.errors import UserError

LEAST_BASE: Final = 0.001
"""Of a metric: a change in per cent of less says more about the base than about the change."""


@dataclass(frozen=True)
class QualityCheck:
    """A row of the gate's table; `value` is the compared figure, None for a skipped check.

    `warning` is a sentence about a check that passed but looks suspicious, else empty.
    """

    check: str
    observed: str
    bound: str
    passed: bool
    value: float | None = None
    warning: str = ""


class QualityRefusedError(UserError):
    """The gate refused a night, so readers keep their release; `checks` has all checks."""

    def __init__(self, message: str, checks: list[QualityCheck]) -> None:
        super().__init__(message)
        self.checks = checks


def require_quality(as_of: str, release_id: str, checks: list[QualityCheck]) -> None:
    """Raise QualityRefusedError, with the table of all checks, if a check failed."""
    failed = sum(not check.passed for check in checks)
    if failed:
        head = (
            f"{as_of}: {failed} of {len(checks)} quality checks failed, so readers keep their release."
            f' To publish it anyway: nightshelf publish {release_id} --force --reason "..."'
        )
        raise QualityRefusedError("\n".join([head, *table_lines(rows_of(checks))]), checks)


def rows_of(checks: Iterable[QualityCheck]) -> list[dict[str, Any]]:
    """Return the checks as plain rows, for a record and a manifest."""
    return [
        {
            "check": check.check,
            "observed": check.observed,
            "bound": check.bound,
            "passed": check.passed,
            "value": check.value,
        }
        for check in checks
    ]


def table_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the table as lines of text: check, observed, bound, passed; failed checks first."""
    cells = [("check", "observed", "bound", "passed")]
    cells += [
        (row["check"], row["observed"], row["bound"], "yes" if row["passed"] else "NO")
        for row in sorted(rows, key=lambda row: bool(row["passed"]))
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
    return [line.rstrip() for line in lines]


def skipped_check(check: str, reason: str) -> QualityCheck:
    """Return the row of a check that could not be made, which therefore passes."""
    return QualityCheck(check, reason, "not judged", True)


def is_telling(change: float, base: float) -> bool:
    """Return whether a change is understood better in per cent of its base than as it is.

    It is not where the base is next to nothing, nor where the change is larger than the base: a
    model that has seen the answers is easily 2,000 % better than one that has not.
    """
    return base >= LEAST_BASE and abs(change) <= base


def change_text(change: float, low: float, high: float, base: float) -> str:
    """Return a change with its interval, in per cent of the base only where that is telling."""
    if is_telling(change, base):
        return f"{change / base:+.1%} [{low / base:+.1%}, {high / base:+.1%}]"
    return f"{change:+.4f} [{low:+.4f}, {high:+.4f}]"
