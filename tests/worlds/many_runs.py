"""Runs a date in many processes at the same time, in rounds; prints each round's exit codes.

Arguments: the configuration file, the date, the rounds (JSON: whole or killed), the number of
processes, and overrides (JSON). A run that publishes exits with 0, one that is refused with 7.
Forks have the imports and no threads yet.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from datetime import date
from pathlib import Path

from flows.night.run import run_night
from tasks.configuration.configuration import Configuration, load
from tasks.runtime.errors import StoreLockedError

MODULES = (
    "tasks.validation.suite",
    "tasks.recommendations.recommendations",
    "tasks.recommendations.similar_items",
    "tasks.release.publish",
    "models.ranking.topn",
)


def attempt(configuration: Configuration, as_of: date) -> int:
    """Run the date; return the exit code."""
    try:
        run_night(configuration, as_of)
    except StoreLockedError as error:
        os.write(2, f"{error}\n".encode())  # a single write, as other processes write too
        return 7
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def together(configuration: Configuration, as_of: date, processes: int, *, killed: bool) -> list[int]:
    """Run the date in all processes at once; return their sorted exit codes.

    With `killed`, the process that holds the date is killed after all others have ended.
    """
    waits, starts = os.pipe()
    children = set()
    for _ in range(processes):
        child = os.fork()
        if not child:
            os.close(starts)
            os.read(waits, 1)  # blocks until the other end is closed, for all processes at once
            os._exit(attempt(configuration, as_of))
        children.add(child)
    os.close(starts)
    os.close(waits)
    codes = []
    while children:
        if killed and len(children) == 1:
            os.kill(*children, signal.SIGKILL)
        child, status = os.wait()
        children.remove(child)
        codes.append(os.waitstatus_to_exitcode(status))
    return sorted(codes)


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    file, day, rounds, number, overrides = sys.argv[1:]
    chosen = load(Path(file), json.loads(overrides))
    for fate in json.loads(rounds):
        codes = together(chosen, date.fromisoformat(day), int(number), killed=fate == "killed")
        print(json.dumps(codes), flush=True)
