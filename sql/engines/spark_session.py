"""Starting Spark: the Java it needs, its properties, and where its output goes."""

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
PER_SESSION = ("spark.local.dir", "spark.sql.warehouse.dir")  # not for Java, which outlives it
ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"(?i)secret|password|token|credential|\.key$")


def java_version() -> int | None:
    """Return the major version of the Java that Spark would start, None without Java."""
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if command is None or not Path(command).exists():
        return None
    version = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.search(r'version "(?:1\.)?(\d+)', version.stderr + version.stdout)
    return int(match.group(1)) if match else None


def require_java() -> None:
    """Raise EngineMissing unless Spark finds a Java it can use."""
    version = java_version()
    if version is None or version < JAVA_NEEDED:
        got = "no Java" if version is None else f"Java {version}"
        raise EngineMissing(
            f"the Spark engine needs Java {JAVA_NEEDED} or newer, got {got}: install a JDK (Debian: "
            "apt-get install openjdk-17-jre-headless) or set JAVA_HOME; the duckdb engine needs none"
        )


def spark_errors() -> tuple[type[Exception], ...]:
    """Return the errors of Spark, of Java and of the bridge between them."""
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError, OSError, ValueError


def start_spark(
    folder: Path, memory_bytes: int, threads: int, master: str, settings: Mapping[str, str]
) -> Any:
    """Return a Spark session; the first session of a process sets the driver's memory.

    Raises
    ------
    EngineMissing
        If Spark finds no Java it can use.
    EngineError
        If Spark does not start; the message ends with the last of Java's output.
    """
    require_java()
    from pyspark import SparkConf, SparkContext
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    # Spark's logger prints each failed query with its Java stack, although the error is raised too.
    # It must be of Spark's class, and gets a filter: logging that is configured later can re-enable
    # a logger that is `disabled`.
    PySparkLogger.getLogger("SQLQueryContextLogger").addFilter(_drop_record)
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    properties = {**_properties(folder, memory_bytes, threads, master.startswith("local")), **settings}
    conf = SparkConf(loadDefaults=False).setAll(list(properties.items())).setAppName("nightshelf")
    conf.setMaster(f"local[{threads}]" if master == "local" else master)
    with tempfile.TemporaryFile() as output:
        try:
            if SparkContext._gateway is None:
                SparkContext._ensure_initialized(gateway=_gateway(properties, output))
            return SparkSession(SparkContext.getOrCreate(conf))
        except spark_errors() as error:
            output.seek(0)
            text = output.read().decode(errors="replace").strip()[-1000:]
            raise EngineError(
                f"Spark does not start: {str(error).splitlines()[0]}\n{text}".strip()
            ) from error


def _drop_record(_: logging.LogRecord) -> bool:
    """Drop every record of a logger."""
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
        "spark.executorEnv.PYTHONPATH": str(ROOT),  # executors run code of this package
    }
    if local:  # not reachable from other machines
        properties |= {
            "spark.driver.defaultJavaOptions": f"-XX:ActiveProcessorCount={threads}",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
        }
    return properties


def _gateway(properties: Mapping[str, str], output: IO[bytes]) -> Any:
    """Start Java with its output in `output`, and without secrets on its command line."""
    from pyspark import SparkConf
    from pyspark.java_gateway import launch_gateway

    passed = [
        pair for pair in properties.items() if pair[0] not in PER_SESSION and not SECRET.search(pair[0])
    ]
    conf = SparkConf(loadDefaults=False).setAll(passed)
    return launch_gateway(conf, {"stdout": output, "stderr": output})  # type: ignore[no-untyped-call]
