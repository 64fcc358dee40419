"""A program that runs nights, each in a separate process that kills itself on request.

Arguments: modules to import before (JSON), and for each night its configuration file, date,
overrides, station, and how and at what it is killed there (JSON). It prints how the processes
ended.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from flows.night.run import run_night
from tasks.configuration.configuration import load


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def night(config: str, day: str, overrides: dict[str, Any], *at: str) -> None:
    """Run a night until `at`: a station, a kind of event, and a detail.

    The kind is before, after, report, or an audited call of Python (such as os.rename).
    """
    station, how, what = at
    now = ""

    def step(name: str, work: Callable[[], Any]) -> Any:
        nonlocal now
        now = name
        if (name, how) == (station, "before"):
            die()
        result = work()
        if (name, how) == (station, "after"):
            die()
        return result

    def report(doing: str, done: float, of: float) -> None:
        if (now, how) == (station, "report") and f"{doing.partition(':')[0]} {done:.0f}" == what:
            die()

    def touched(event: str, arguments: Any) -> None:
        if (now, how) == (station, event) and what in " ".join(map(str, arguments)):
            die()

    sys.addaudithook(touched)
    run_night(load(Path(config), overrides), date.fromisoformat(day), step=step, report=report)


def fork(arguments: Any) -> int:
    """Run a night in a fork, which inherits imports but no threads; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        night(*arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def ended(nights: list[Any], at_once: int = 2) -> Iterator[int]:
    """Yield the exit status of each process, in the order of their nights."""
    for start in range(0, len(nights), at_once):
        for pid in [fork(arguments) for arguments in nights[start : start + at_once]]:
            yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    for module in json.loads(sys.argv[1]):
        importlib.import_module(module)
    print(json.dumps(list(ended(json.loads(sys.argv[2])))))
