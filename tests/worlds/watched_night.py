"""A night in a separate process: `python watched_night.py CONFIG DATE OVERRIDES`.

It notes, before and after each station, what libraries would start at that time. `watched/` watches
it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import sitecustomize
from threadpoolctl import threadpool_info

from flows.night.run import run_night
from models.options import score_bytes, workers
from tasks.configuration.configuration import load

T = TypeVar("T")


def ready(station: str) -> None:
    """Note the sizes of all pools."""
    torch = sys.modules.get("torch")
    sitecustomize.note(
        station=station,
        openmp=os.environ.get("OMP_NUM_THREADS", "0"),
        workers=workers(),
        score_bytes=score_bytes(),
        arrow=pa.cpu_count(),
        torch=torch.get_num_threads() if torch else None,
        pools=[pool["num_threads"] for pool in threadpool_info()],
    )


def spark() -> None:
    """Note the threads of Spark and of its Java process while it runs."""
    pyspark = sys.modules.get("pyspark")
    context = pyspark and pyspark.SparkContext._active_spark_context
    if context:
        processors = context._jvm.java.lang.Runtime.getRuntime().availableProcessors()
        sitecustomize.note(spark=context.master, processors=processors)


def step(name: str, station: Callable[[], T]) -> T:
    """Run a station and note what it could have used."""
    ready(name)
    result = station()
    ready(name)
    spark()
    return result


def main(config: str, as_of: str, overrides: str) -> None:
    """Run the night."""
    run_night(load(Path(config), json.loads(overrides)), date.fromisoformat(as_of), step=step)


if __name__ == "__main__":
    main(*sys.argv[1:])
