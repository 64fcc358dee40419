"""A check of the gate, and the error of a closed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.runtime.errors import ValidationFailedError


@dataclass(frozen=True)
class Check:
    """One row of validation_results.

    A row rule that sent rows to quarantine is a row too: `check` is the rule, `column` is `quarantine`,
    and it passed if its rows alone are within gate.max_quarantined_share; all rules together are judged
    by the check `max_quarantined_share`. `rows_failed` counts rows even where the check passed.
    """

    check: str
    column: str
    observed: str
    threshold: str
    passed: bool
    rows_failed: int


class GateClosedError(ValidationFailedError):
    """The gate's veto: `checks` are all its results, `index` is the first of the pages about them."""

    def __init__(self, message: str, checks: Sequence[Check], index: Path) -> None:
        super().__init__(message)
        self.checks = list(checks)
        self.index = index
