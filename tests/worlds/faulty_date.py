"""A date of a backfill in a process that fails in a tenth of its stations, each once.

It stands for `python -m flows.backfill.one_date`. The folder FAULTS holds a file for every
fault that has happened.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flows.backfill.one_date
from flows.night.retries import run_directly

SHARE = 0.1


def step(as_of: str, name: str, station: Callable[[], Any]) -> Any:
    """Run a station; in a tenth of all, chosen by date and name, the process dies or the run fails."""
    chance = random.Random(f"24 {as_of} {name}").random()  # noqa: S311 - not a secret; with 24, four days have both
    fault = Path(os.environ["FAULTS"]) / f"{as_of} {name}"
    if chance < SHARE and not fault.exists():
        fault.touch()
        if chance < SHARE / 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = run_directly(name, station)
        raise RuntimeError(f"a fault after {name} of {as_of}, which gave {result}")
    return run_directly(name, station)


def run_here(order: flows.backfill.one_date.Order, *, report: Any) -> Any:
    """Run a date with its faults."""
    return whole(order, partial(step, str(order.as_of)), report)


if __name__ == "__main__":
    whole, flows.backfill.one_date.run_here = flows.backfill.one_date.run_here, run_here
    sys.exit(flows.backfill.one_date.main())
