"""The engine that the configuration asks for."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sql.engines.engine import Engine
from tasks.configuration.configuration import Configuration
from tasks.configuration.sections import bytes_of
from tasks.store.files import writing

__all__ = ["Engine", "open_engine", "sweep_scratch", "threads_of"]

SCRATCH = ".engine-"
SHARE = 0.6  # of the memory budget that the engine may take; the rest is for Python, Arrow and the allocator


def threads_of(configuration: Configuration) -> int:
    """Return the worker threads of a run: as configured, or every core that this process may use."""
    return configuration.engine.threads or len(os.sched_getaffinity(0))


@contextmanager
def open_engine(configuration: Configuration, folder: Path) -> Iterator[Engine]:
    """Give the configured engine with scratch space in a folder; it is closed and swept afterwards.

    Raises
    ------
    EngineMissing
        If the Spark engine is asked for and there is no Java that it can use.
    """
    settings = configuration.engine
    scratch = folder / f"{SCRATCH}{secrets.token_hex(4)}"
    memory = int(bytes_of(settings.memory) * SHARE)
    threads = threads_of(configuration)
    engine: Engine
    try:
        if settings.name == "spark":
            from sql.engines.spark_engine import SparkEngine

            engine = SparkEngine(scratch, memory, threads, settings.spark_master, settings.spark_settings)
        else:
            from sql.engines.duckdb_engine import DuckDBEngine

            engine = DuckDBEngine(scratch, memory, threads)
        try:
            yield engine
        finally:
            engine.close()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # of an engine that did not start, too
        shutil.rmtree(folder / "catalogue", ignore_errors=True)


def sweep_scratch(folder: Path) -> list[Path]:
    """Remove the scratch space of engines whose process died; the caller has a lock on who works there.

    The catalogues that were read there go, too: all of their users are in them.
    """
    left = [*sorted(folder.glob(f"{SCRATCH}*")), *folder.glob("catalogue")]
    with writing(folder):
        for scratch in left:
            shutil.rmtree(scratch)
    return left
