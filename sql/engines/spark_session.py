"""Starting Spark: the Java that it needs, what it is told, and where its chatter goes."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from sql.errors import EngineError, EngineMissing

JAVA_NEEDED = 17
OF_ONE_RUN = ("spark.local.dir", "spark.sql.warehouse.dir")  # Java outlives the session
ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"(?i)secret|password|token|credential|\.key$")


def java_version() -> int | None:
    """Return the major version of the Java that Spark would start, None where there is none."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if command is None or not Path(command).exists():
        return None
    answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else None


def require_java() -> None:
    """Raise EngineMissing unless a Java that Spark can use is found."""
    found = java_version()
    if found is None or found < JAVA_NEEDED:
        got = "no Java" if found is None else f"Java {found}"
        raise EngineMissing(
            f"the Spark engine needs Java {JAVA_NEEDED} or newer, got {got}: install a JDK (Debian: "
            "apt-get install openjdk-17-jre-headless) or set JAVA_HOME; the duckdb engine needs none"
        )


def spark_errors() -> tuple[type[Exception], ...]:
    """Return what Spark raises: its own errors, and those of Java and of the bridge to it."""
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError, OSError, ValueError


def start_spark(
    folder: Path, memory_bytes: int, threads: int, master: str, settings: Mapping[str, str]
) -> Any:
    """Return a Spark session; in one process the first decides about the memory of the driver.

    Raises
    ------
    EngineMissing
        If there is no Java that Spark can use.
    EngineError
        If Spark does not start; the message has the end of what Java wrote.
    """
    require_java()
    from pyspark import SparkConf, SparkContext
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    # Spark's own logger prints each failed query with its Java stack, beside the error that is raised. It
    # must be of Spark's class, and is not `disabled`: whoever sets up logging after us may enable it again
    PySparkLogger.getLogger("SQLQueryContextLogger").addFilter(_nothing)
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    properties = {**_properties(folder, memory_bytes, threads, master.startswith("local")), **settings}
    conf = SparkConf(loadDefaults=False).setAll(list(properties.items())).setAppName("nightshelf")
    conf.setMaster(f"local[{threads}]" if master == "local" else master)
    with tempfile.TemporaryFile() as chatter:
        try:
            if SparkContext._gateway is None:
                SparkContext._ensure_initialized(gateway=_gateway(properties, chatter))
            return SparkSession(SparkContext.getOrCreate(conf))
        except spark_errors() as error:
            chatter.seek(0)
            said = chatter.read().decode(errors="replace").strip()[-1000:]
            raise EngineError(
                f"Spark does not start: {str(error).splitlines()[0]}\n{said}".strip()
            ) from error


def _nothing(_: logging.LogRecord) -> bool:
    """Let no line of a logger through."""
    return False


def _properties(folder: Path, memory_bytes: int, threads: int, local: bool) -> dict[str, str]:
    properties = {
        "spark.driver.memory": f"{max(memory_bytes // 2**20, 512)}m",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.timestampType": "TIMESTAMP_LTZ",
        "spark.sql.shuffle.partitions": str(threads * 4),
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.parquet.mergeSchema": "true",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "spill"),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.executorEnv.PYTHONPATH": str(ROOT),  # what runs on executors is of this package
    }
    if local:  # nothing outside of this machine has business with it
        properties |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
        }
    return properties


def _gateway(properties: Mapping[str, str], chatter: IO[bytes]) -> Any:
    """Start Java; what it writes goes to `chatter`, and no secret is on its command line."""
    from pyspark import SparkConf
    from pyspark.java_gateway import launch_gateway

    told = [pair for pair in properties.items() if pair[0] not in OF_ONE_RUN and not SECRET.search(pair[0])]
    conf = SparkConf(loadDefaults=False).setAll(told)
    return launch_gateway(conf, {"stdout": chatter, "stderr": chatter})  # type: ignore[no-untyped-call]
