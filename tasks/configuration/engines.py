"""The SQL engine that the configuration names."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sql.engines.engine import Engine
from tasks.configuration.configuration import Configuration
from tasks.store.files import writing

__all__ = ["Engine", "open_engine", "sweep_scratch"]

SCRATCH = ".engine-"


@contextmanager
def open_engine(configuration: Configuration, folder: Path) -> Iterator[Engine]:
    """Yield the configured engine, with scratch space in `folder` that is removed afterwards.

    Raises
    ------
    EngineMissing
        If the engine is Spark and no usable Java is installed.
    """
    settings, resources = configuration.engine, configuration.resources
    scratch = folder / f"{SCRATCH}{secrets.token_hex(4)}"
    memory, threads = resources.sql_memory, resources.threads
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
        shutil.rmtree(scratch, ignore_errors=True)  # even if the engine did not start
        shutil.rmtree(folder / "catalogue", ignore_errors=True)


def sweep_scratch(folder: Path) -> list[Path]:
    """Remove the scratch space of engines whose process died; return the removed paths.

    Copies of catalogues are removed as well, because they contain users. The caller holds the lock
    of the folder.
    """
    leftovers = [*sorted(folder.glob(f"{SCRATCH}*")), *folder.glob("catalogue")]
    with writing(folder):
        for scratch in leftovers:
            shutil.rmtree(scratch)
    return leftovers
