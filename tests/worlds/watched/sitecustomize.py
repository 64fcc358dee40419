"""What each process asks of libraries with threads of their own, as lines of JSON in the file $WATCHED.

Python imports this by its name in every process that has this folder on its path, so in the children
of a night too.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

PLACE = Path(os.environ["WATCHED"])
POOL, CONNECT = ThreadPoolExecutor.__init__, duckdb.connect


def note(**facts: Any) -> None:
    """Append a line; one write, so that processes do not mix theirs."""
    with PLACE.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"process": os.getpid(), **facts}) + "\n")


def pool(self: ThreadPoolExecutor, max_workers: int | None = None, *rest: Any, **named: Any) -> None:
    """Note the size of a pool and who asked for it."""
    note(pool=max_workers, by=sys._getframe(1).f_code.co_filename)
    POOL(self, max_workers, *rest, **named)


def connect(*given: Any, **named: Any) -> duckdb.DuckDBPyConnection:
    """Note the settings of a new database, as it has them before any statement."""
    connection = CONNECT(*given, **named)
    settings = "SELECT current_setting('threads'), current_setting('memory_limit')"
    threads, memory = connection.execute(settings).fetchall()[0]
    note(duckdb=threads, memory=memory)
    return connection


ThreadPoolExecutor.__init__ = pool  # type: ignore[method-assign]
duckdb.connect = connect
note(started=sys.orig_argv[1:], openmp=os.environ.get("OMP_NUM_THREADS"))
