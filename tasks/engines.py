"""The engine that the configuration asks for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sql.engine import Engine
from tasks.configuration import Configuration, bytes_of
from tasks.store import Store

SHARE = 0.6  # of the memory budget that the engine may take; the rest is for Python, Arrow and the allocator


def threads_of(configuration: Configuration) -> int:
    """Return the worker threads of a run: as configured, or every core that this process may use."""
    return configuration.engine.threads or len(os.sched_getaffinity(0))


@contextmanager
def open_engine(configuration: Configuration, store: Store) -> Iterator[Engine]:
    """Give the configured engine with scratch space in the store; it is closed and swept afterwards.

    Raises
    ------
    EngineMissing
        If the Spark engine is asked for and there is no Java that it can use.
    """
    settings = configuration.engine
    scratch = store.runs / f".engine-{secrets.token_hex(4)}"
    memory = int(bytes_of(settings.memory) * SHARE)
    engine: Engine
    if settings.name == "spark":
        from sql.spark_engine import SparkEngine

        engine = SparkEngine(
            scratch, memory, threads_of(configuration), settings.spark_master, settings.spark_settings
        )
    else:
        from sql.duckdb_engine import DuckDBEngine

        engine = DuckDBEngine(scratch, memory, threads_of(configuration))
    try:
        yield engine
    finally:
        engine.close()
