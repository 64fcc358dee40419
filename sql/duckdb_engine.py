"""The embedded engine: DuckDB with bounded memory; no server, no Java."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from sql.duckdb_landing import land
from sql.engine import EngineError, literal
from sql.landing import Landing, RawFile, Scan
from sql.layout import Reading

SPARK_NAMES = (
    "timestamp_micros(us) AS make_timestamp(us)",
    "to_utc_timestamp(t, zone) AS CAST(timezone(zone, t) AS TIMESTAMP)",
    "from_utc_timestamp(t, zone) AS timezone(zone, timezone('UTC', t))",
    "unix_micros(t) AS epoch_us(t)",
)
"""Functions of the portable subset that DuckDB lacks, under their Spark names."""


class DuckDBDialect:
    """Expressions as DuckDB spells them."""

    def json_row(self, columns: Mapping[str, str]) -> str:
        """Return an expression: the columns (key -> column) as one JSON object, nulls kept."""
        pairs = ", ".join(f"{literal(key)}, {column}" for key, column in columns.items())
        return f"CAST(json_object({pairs}) AS VARCHAR)"

    def hash_row(self, columns: Sequence[str]) -> str:
        """Return an expression: a 64-bit hash of the columns."""
        return f"hash({', '.join(columns)})"

    def parse_time(self, text: str, pattern: str) -> str:
        """Return an expression: text as TIMESTAMP by a strptime pattern, NULL where it does not fit."""
        if pattern == "iso":
            return f"CASE WHEN {text} LIKE '____-__-__%' THEN TRY_CAST({text} AS TIMESTAMP) END"
        return f"try_strptime({text}, {literal(pattern)})"


class DuckDBEngine:
    """DuckDB in a database file of its own, so that large relations spill to disk.

    Parameters
    ----------
    folder
        Scratch space of this engine; created, and removed by `close`.
    memory_bytes
        DuckDB's memory limit in bytes; what does not fit is spilled to `folder`.
    threads
        Worker threads.
    """

    name = "duckdb"

    def __init__(self, folder: Path, memory_bytes: int, threads: int) -> None:
        self.dialect = DuckDBDialect()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / "engine.duckdb"
        database.unlink(missing_ok=True)
        self._connection = duckdb.connect(str(database))
        for setting, value in {
            "memory_limit": f"{max(memory_bytes // 2**20, 128)}MiB",
            "threads": str(max(threads, 1)),
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "TimeZone": "UTC",
            "enable_progress_bar": "false",
            "enable_object_cache": "false",
        }.items():
            self._connection.execute(f"SET {setting} = '{value.replace(chr(39), chr(39) * 2)}'")
        for macro in SPARK_NAMES:
            self._connection.execute(f"CREATE MACRO {macro}")

    def execute(self, query: str, values: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        """Run a statement; what DuckDB refuses becomes an EngineError."""
        try:
            return self._connection.execute(query, list(values))
        except duckdb.Error as error:
            raise EngineError(f"DuckDB: {error}") from error

    def land(
        self, files: Sequence[RawFile], scans: Mapping[int, Scan], reading: Reading, mapped: Sequence[str]
    ) -> Landing:
        """Read raw files into relations of text with file_id and line."""
        folder = self._folder / "landing"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return land(files, scans, reading, mapped, folder, lambda query: self.execute(query).fetchall())

    def parquet(self, name: str, paths: Sequence[Path]) -> None:
        """Make relation `name` a view over Parquet files."""
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        self.view(
            name, f"SELECT * FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
        )

    def table(self, name: str, rows: pa.Table) -> None:
        """Make relation `name` from a small Arrow table."""
        self._connection.register("bound_rows", rows)
        self.materialise(name, "SELECT * FROM bound_rows")
        self._connection.unregister("bound_rows")

    def view(self, name: str, query: str) -> None:
        """Make relation `name` a view."""
        self.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")

    def materialise(self, name: str, query: str) -> None:
        """Make relation `name` a table of the engine's own database file."""
        self.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")

    def number(self, name: str, relation: str, key: str, column: str) -> None:
        """Make relation `name`: `relation` with INT `column` 0, 1, 2... in ascending order of `key`."""
        rank = f"CAST(row_number() OVER (ORDER BY {key}) - 1 AS INTEGER) AS {column}"
        self.materialise(name, f"SELECT {rank}, * FROM {relation}")

    def write(
        self, query: str, folder: Path, order_by: Sequence[str] = (), partition_by: Sequence[str] = ()
    ) -> None:
        """Write a query as zstd Parquet files in a new folder."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        ordered = f"SELECT * FROM ({query}) ORDER BY {', '.join(order_by)}" if order_by else query
        target, options = folder / "part-0.parquet", "FORMAT parquet, COMPRESSION zstd"
        if partition_by:
            target, options = (
                folder,
                f"{options}, PARTITION_BY ({', '.join(partition_by)}), OVERWRITE_OR_IGNORE",
            )
        quoted = str(target).replace("'", "''")
        self.execute(f"COPY ({ordered}) TO '{quoted}' ({options})")

    def fetch(self, query: str) -> pa.Table:
        """Return a query's rows as an Arrow table."""
        try:
            return self._connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise EngineError(f"DuckDB: {error}") from error

    def close(self) -> None:
        """Close the database and remove the scratch folder."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)
