"""Runs one date twice at the same moment, several times; prints the exit codes of each pair.

A run that publishes exits with 0, one that is refused with 7. Forks have the imports and no threads yet.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from datetime import date
from pathlib import Path

from flows.run_stations import run_night
from tasks.configuration import Configuration, load
from tasks.errors import StoreLockedError

MODULES = ("tasks.gate_suite", "tasks.recommendations", "tasks.similar_items", "tasks.release", "models.topn")


def attempt(configuration: Configuration, as_of: date) -> int:
    """Run the date; return the exit code."""
    try:
        run_night(configuration, as_of)
    except StoreLockedError as error:
        print(error, file=sys.stderr, flush=True)
        return 7
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def pair(configuration: Configuration, as_of: date) -> list[int]:
    """Run the date twice at once; return both exit codes, the lower first."""
    waits, starts = os.pipe()
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            os.close(starts)
            os.read(waits, 1)  # until the other end is closed, for both at once
            os._exit(attempt(configuration, as_of))
        children.append(child)
    os.close(starts)
    os.close(waits)
    return sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    chosen = load(Path(sys.argv[1]), json.loads(sys.argv[4]))
    for _ in range(int(sys.argv[3])):
        print(json.dumps(pair(chosen, date.fromisoformat(sys.argv[2]))), flush=True)
