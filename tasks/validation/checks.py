"""A check of the gate, and the error raised when checks fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.runtime.errors import ValidationFailedError


@dataclass(frozen=True)
class Check:
    """A row of validation_results.

    Each row rule that quarantined rows gets a row, with the rule as `check` and `quarantine` as
    `column`. It passes if its rows alone are within gate.max_quarantined_share; the check
    `max_quarantined_share` applies to all rules together. `rows_failed` counts rows even if the
    check passed.
    """

    check: str
    column: str
    observed: str
    threshold: str
    passed: bool
    rows_failed: int


class GateClosedError(ValidationFailedError):
    """Checks of the gate failed; `checks` holds all results, `index` is the path of their page, if any."""

    def __init__(self, message: str, checks: Sequence[Check], index: Path | None) -> None:
        super().__init__(message)
        self.checks = list(checks)
        self.index = index
