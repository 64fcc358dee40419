"""Second nights that fail, and are resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flows.night.retries import run_directly
from flows.night.run import run_night
from tasks.store.runs import RunRecord
from worlds.night_world import SECOND, Night, failing_at


def fail(night: Night, station: str, **overrides: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        run_night(
            night.configured(**overrides), SECOND, step=failing_at(station, ZeroDivisionError("a defect"))
        )


def resume(night: Night, **overrides: Any) -> tuple[RunRecord, list[str]]:
    """Resume the second night; return its record and the stations that were run."""
    ran: list[str] = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        ran.append(name)
        return run_directly(name, work)

    return run_night(night.configured(**overrides), SECOND, step=step, resume="yes"), ran
