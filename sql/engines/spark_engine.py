"""The distributed engine: the same .sql files on Spark, local or on a cluster."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sql.engines.spark_session import spark_errors, start_spark
from sql.engines.text import literal
from sql.errors import EngineError, SourceError
from sql.landing.landed_file import collect, land_file
from sql.landing.landing import Landing, RawFile, Wanted
from sql.landing.row_writer import LandedFile
from sql.reading import Reading
from sql.timestamps import pattern_parts, time_regex

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

STRPTIME_TO_JAVA = {
    "%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "%f": "SSSSSS",
    "%b": "MMM", "%B": "MMMM", "%I": "hh", "%p": "a", "%z": "[XXX][XX][X]",
}  # fmt: skip


class SparkDialect:
    """Expressions as Spark spells them."""

    def json_row(self, columns: Mapping[str, str]) -> str:
        """Return an expression for the columns (key -> column) as one JSON object, nulls kept."""
        pairs = ", ".join(f"{literal(key)}, {column}" for key, column in columns.items())
        return f"to_json(named_struct({pairs}), map('ignoreNullFields', 'false'))"

    def hash_row(self, columns: Sequence[str]) -> str:
        """Return an expression for a 64-bit hash of the columns."""
        # xxhash64 skips nulls, so (null, x) and (x, null) collide. That is harmless: rows with
        # equal hashes are compared in full.
        return f"xxhash64({', '.join(columns)})"

    def keyed_hash(self, text: str, inner_pad: str, outer_pad: str) -> str:
        """Return an expression for the HMAC-SHA256 of text (hex), given the key's two pads."""
        inner = f"sha2(concat({inner_pad}, CAST({text} AS BINARY)), 256)"
        return f"sha2(concat({outer_pad}, unhex({inner})), 256)"

    def matches(self, text: str, regex: str) -> str:
        """Return an expression that tells whether the whole text matches a regular expression."""
        whole = rf"\A(?:{regex})\z"  # Java's $ matches before a last line end, too
        return f"regexp_like({text}, {literal(whole)})"

    def rewrite(self, text: str, regex: str, replacement: str) -> str:
        """Return an expression for text with a match replaced; $1 in `replacement` is group 1."""
        return f"regexp_replace({text}, {literal(regex)}, {literal(replacement)})"

    def cast_time(self, text: str) -> str:
        """Return an expression for text in ISO's usual form as TIMESTAMP, NULL for no such time."""
        return f"TRY_CAST({text} AS TIMESTAMP)"

    def parse_time(self, text: str, pattern: str) -> str:
        """Return an expression for text as TIMESTAMP by "iso" or a strptime pattern, else NULL."""
        parsed = self.cast_time(text)
        if pattern != "iso":
            parsed = f"try_to_timestamp({text}, {literal(java_pattern(pattern))})"
        return f"CASE WHEN {self.matches(text, time_regex(pattern))} THEN {parsed} END"


def java_pattern(pattern: str) -> str:
    """Return a strptime pattern in Java's notation."""
    spelled = ""
    for directive, text, alone in pattern_parts(pattern):
        if text:
            spelled += "'" + text.replace("'", "''") + "'"
        else:
            letters = STRPTIME_TO_JAVA[directive]
            spelled += letters[0] if alone and len(letters) == 2 else letters
    return spelled


class SparkEngine:
    """Spark with ANSI SQL in UTC, local or on a cluster.

    Parameters
    ----------
    folder
        Scratch folder of this engine; created here and removed by `close`.
    memory_bytes
        The driver's heap in bytes; in local mode, it is the executors' heap too.
    threads
        Cores in local mode.
    master
        Spark's master address; `local` becomes `local[threads]`.
    settings
        Further Spark properties, which override the ones set here.
    """

    name = "spark"

    def __init__(
        self,
        folder: Path,
        memory_bytes: int,
        threads: int,
        master: str = "local",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.dialect = SparkDialect()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._spark = start_spark(folder, memory_bytes, max(threads, 1), master, settings or {})
        self._cached: list[DataFrame] = []

    def _sql(self, query: str) -> DataFrame:
        with _spark_errors():
            frame: DataFrame = self._spark.sql(query)
        return frame

    def land(self, files: Sequence[RawFile], reading: Reading, wanted: Wanted) -> Landing:
        """Read raw files into relations of text with file_id and line, one task per file."""
        folder = self._folder / "landing"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tasks = [(file, reading, wanted, folder) for file in files]
        landed: list[LandedFile] = []
        for result in self.run_on_executors(_land_task, tasks):
            if isinstance(result, str):
                raise SourceError(result)
            landed.append(result)
        return collect(landed, self.parquet)

    def parquet(self, name: str, paths: Sequence[Path], *, reread: bool = False) -> None:  # noqa: ARG002
        """Create relation `name`, a view over Parquet files."""
        with _spark_errors():
            frame = self._spark.read.parquet(*map(_escaped_glob, paths))
            _cast(frame, "timestamp_ntz", "timestamp").createOrReplaceTempView(name)

    def table(self, name: str, rows: pa.Table) -> None:
        """Create relation `name` from a small Arrow table."""
        with _spark_errors():
            self._spark.createDataFrame(rows).createOrReplaceTempView(name)

    def view(self, name: str, query: str) -> None:
        """Create relation `name` as a view."""
        self._sql(query).createOrReplaceTempView(name)

    def materialise(self, name: str, query: str) -> None:
        """Create relation `name` and cache it in memory and on disk."""
        frame = self._sql(query).persist()
        self._cached.append(frame)
        frame.createOrReplaceTempView(name)

    def number(self, name: str, relation: str, key: str, column: str) -> None:
        """Create relation `name`: `relation` with INT `column` 0, 1, 2... in the order of `key`.

        A global row_number() would sort in one partition. Instead, each partition of a range sort
        numbers its rows, and the total size of the partitions before it is added.
        """
        ordered = self._sql(
            f"SELECT *, spark_partition_id() AS part, monotonically_increasing_id() AS row_id "
            f"FROM (SELECT * FROM {relation} ORDER BY {key})"
        ).persist()
        self._cached.append(ordered)
        with _spark_errors():
            sizes = sorted((row["part"], row["count"]) for row in ordered.groupBy("part").count().collect())
        offsets, total = [], 0
        for part, size in sizes:
            offsets.append((part, total))
            total += size
        starts = pa.table(
            {
                "start_part": pa.array([part for part, _ in offsets], pa.int32()),
                "start_at": pa.array([start for _, start in offsets], pa.int64()),
            }
        )
        ordered.createOrReplaceTempView(f"{name}_ordered")
        self.table(f"{name}_starts", starts)
        # monotonically_increasing_id holds the partition in its upper 31 bits and the row in its
        # lower 33
        self.materialise(
            name,
            f"SELECT CAST(start_at + (row_id & {2**33 - 1}) AS INT) AS {column}, o.* EXCEPT (part, row_id) "
            f"FROM {name}_ordered AS o JOIN {name}_starts ON part = start_part",
        )

    def write(
        self, query: str, folder: Path, order_by: Sequence[str] = (), partition_by: Sequence[str] = ()
    ) -> None:
        """Write a query as zstd Parquet files in a new folder."""
        frame = _cast(self._sql(query), "timestamp", "timestamp_ntz")
        if order_by:
            frame = frame.orderBy(*order_by)
        if partition_by:  # one file per partition, not one per task and partition
            frame = frame.repartition(*partition_by)
        writer = frame.write.mode("overwrite")
        if partition_by:
            writer = writer.partitionBy(*partition_by)
        with _spark_errors():
            writer.parquet(str(folder))

    def fetch(self, query: str) -> pa.Table:
        """Return a query's rows as an Arrow table."""
        frame = self._sql(query)
        with _spark_errors():
            return frame.toArrow()

    def run_on_executors(self, function: Any, inputs: Sequence[Any]) -> list[Any]:
        """Return `function` of each input, computed on the executors with one task per input."""
        if not inputs:
            return []
        with _spark_errors():
            return list(self._spark.sparkContext.parallelize(inputs, len(inputs)).map(function).collect())

    def close(self) -> None:
        """Drop cached relations, stop Spark and remove the scratch folder."""
        for frame in self._cached:
            frame.unpersist()
        java = self._spark.sparkContext._jvm
        self._spark.stop()
        # Java outlives the session and would go on using the folder of this engine
        getattr(getattr(java.org.apache.spark.util, "Utils$"), "MODULE$").clearLocalRootDirs()
        shutil.rmtree(self._folder, ignore_errors=True)


def _escaped_glob(path: Path) -> str:
    """Return a path as a Hadoop glob pattern that matches only this path."""
    return re.sub(r"([\\*?{}\[\]])", r"\\\1", str(path))


def _land_task(task: tuple[RawFile, Reading, Wanted, Path]) -> LandedFile | str:
    """Land one file; if it cannot be read, return the message instead of an executor's stack."""
    try:
        return land_file(*task)
    except SourceError as error:
        return str(error)


def _cast(frame: DataFrame, stored: str, target: str) -> DataFrame:
    """Return a frame with all columns of type `stored` cast to `target`.

    Parquet files hold UTC timestamps without a zone, as DuckDB writes them. Spark's functions
    expect timestamps in the session's zone, which is UTC.
    """
    columns = [frame[name].cast(target) for name, kind in frame.dtypes if kind == stored]
    names = [name for name, kind in frame.dtypes if kind == stored]
    return frame.withColumns(dict(zip(names, columns, strict=True))) if names else frame


@contextmanager
def _spark_errors() -> Iterator[None]:
    """Turn Spark's errors into an EngineError of one line, without query plan and Java stack."""
    try:
        yield
    except spark_errors() as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineError(f"Spark: {lines[0][:1000]}") from error
