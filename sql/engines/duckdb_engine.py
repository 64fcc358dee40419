"""The embedded engine: DuckDB with bounded memory, without a server or Java."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from sql.engines.partitions import read_small, write_partitions
from sql.engines.text import escape_glob, literal
from sql.errors import EngineError
from sql.landing.landed_file import collect, land_file
from sql.landing.landing import Landing, RawFile, Wanted
from sql.reading import Reading
from sql.timestamps import time_regex

MANY_FILES, SMALL_FILE = 100, 2**18  # bytes
MOST_ROWS_BYTES, BATCH_ROWS = 2**28, 100_000
SPARK_NAMES = (
    "timestamp_micros(us) AS make_timestamp(us)",
    "from_utc_timestamp(t, zone) AS timezone(zone, timezone('UTC', t))",
    # of a local hour that occurs twice, DuckDB takes the later, Spark and Python the earlier
    "later_utc(t, zone) AS timezone('UTC', timezone(zone, t))",
    "earlier_utc(t, later, zone) AS "
    "t - (from_utc_timestamp(later - INTERVAL 3 HOUR, zone) - (later - INTERVAL 3 HOUR))",
    "to_utc_timestamp(t, zone) AS CASE "
    "WHEN from_utc_timestamp(earlier_utc(t, later_utc(t, zone), zone), zone) = t "
    "THEN least(earlier_utc(t, later_utc(t, zone), zone), later_utc(t, zone)) ELSE later_utc(t, zone) END",
    "unix_micros(t) AS epoch_us(t)",
)
"""Functions of the portable SQL subset that DuckDB lacks, under their Spark names."""


class DuckDBDialect:
    """Expressions as DuckDB spells them."""

    def json_row(self, columns: Mapping[str, str]) -> str:
        """Return an expression for the columns (key -> column) as one JSON object, nulls kept."""
        pairs = ", ".join(f"{literal(key)}, {column}" for key, column in columns.items())
        return f"CAST(json_object({pairs}) AS VARCHAR)"

    def hash_row(self, columns: Sequence[str]) -> str:
        """Return an expression for a 64-bit hash of the columns."""
        return f"hash({', '.join(columns)})"

    def keyed_hash(self, text: str, inner_pad: str, outer_pad: str) -> str:
        """Return an expression for the HMAC-SHA256 of text (hex), given the key's two pads."""
        return f"sha256({outer_pad} || unhex(sha256({inner_pad} || encode({text}))))"

    def matches(self, text: str, regex: str) -> str:
        """Return an expression that tells whether the whole text matches a regular expression."""
        return f"regexp_full_match({text}, {literal(regex)})"

    def rewrite(self, text: str, regex: str, replacement: str) -> str:
        """Return an expression for text with a match replaced; $1 in `replacement` is group 1."""
        return f"regexp_replace({text}, {literal(regex)}, {literal(replacement.replace('$', chr(92)))})"

    def cast_time(self, text: str) -> str:
        """Return an expression for text in ISO's usual form as TIMESTAMP, NULL for no such time."""
        # a cast to TIMESTAMP would drop the offset silently
        return f"timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ))"

    def parse_time(self, text: str, pattern: str) -> str:
        """Return an expression for text as TIMESTAMP by "iso" or a strptime pattern, else NULL."""
        parsed = f"try_strptime({text}, {literal(pattern)})"
        if pattern == "iso":
            parsed = self.cast_time(text)
        elif "%z" in pattern:
            parsed = f"timezone('UTC', {parsed})"
        return f"CASE WHEN {self.matches(text, time_regex(pattern))} THEN {parsed} END"


class DuckDBEngine:
    """DuckDB with a private database file, so large relations spill to disk.

    Parameters
    ----------
    folder
        Scratch folder of this engine; created here and removed by `close`.
    memory_bytes
        DuckDB's memory limit in bytes; relations that do not fit spill to `folder`.
    threads
        Worker threads.
    """

    name = "duckdb"

    def __init__(self, folder: Path, memory_bytes: int, threads: int) -> None:
        self.dialect = DuckDBDialect()
        self._kinds: dict[str, str] = {}
        self._copied: dict[str, str] = {}
        self._folder, self._threads, self._memory = folder, max(threads, 1), memory_bytes
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / "engine.duckdb"
        database.unlink(missing_ok=True)
        try:
            self._connection = duckdb.connect(
                str(database),
                config={
                    "memory_limit": f"{max(memory_bytes // 2**20, 128)}MiB",
                    "threads": str(max(threads, 1)),
                },
            )
        except duckdb.Error as error:
            raise EngineError(f"DuckDB: {error}") from error
        for setting, value in {
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "TimeZone": "UTC",
            "enable_progress_bar": "false",
            "enable_object_cache": "false",
        }.items():
            self.execute(f"SET {setting} = '{value.replace(chr(39), chr(39) * 2)}'")
        for macro in SPARK_NAMES:
            self.execute(f"CREATE MACRO {macro}")

    def execute(self, query: str, values: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        """Run a statement; DuckDB's errors become EngineErrors."""
        with _duckdb_errors():
            return self._connection.execute(query, list(values))

    def land(self, files: Sequence[RawFile], reading: Reading, wanted: Wanted) -> Landing:
        """Read raw files into relations of text with file_id and line, several files at a time."""
        folder = self._folder / "landing"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with ThreadPoolExecutor(self._threads) as pool:
            landed = list(pool.map(lambda file: land_file(file, reading, wanted, folder), files))
        return collect(landed, self.parquet)

    def parquet(self, name: str, paths: Sequence[Path], *, reread: bool = False) -> None:
        """Create relation `name`, a view over Parquet files; with `reread`, many small ones are copied.

        A query takes longer to open a small file than to read it. The copy stays until the relation
        is created from other files.
        """
        files = ", ".join("'" + escape_glob(path).replace("'", "''") + "'" for path in paths)
        query = f"SELECT * FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
        if not (reread and self._many_and_small(paths)):
            self.view(name, query)
        elif self._copied.get(name) != query:
            self.materialise(name, query)
            self._copied[name] = query

    def _many_and_small(self, paths: Sequence[Path]) -> bool:
        """Return whether the files are many and small, and together a small part of the memory."""
        if len(paths) < MANY_FILES or not all(path.is_file() for path in paths):
            return False
        size = sum(path.stat().st_size for path in paths)
        return size <= min(len(paths) * SMALL_FILE, self._memory // 8)

    def table(self, name: str, rows: pa.Table) -> None:
        """Create relation `name` from a small Arrow table."""
        self._connection.register("bound_rows", rows)
        self.materialise(name, "SELECT * FROM bound_rows")
        self._connection.unregister("bound_rows")

    def view(self, name: str, query: str) -> None:
        """Create relation `name` as a view."""
        self._create("VIEW", name, query)

    def materialise(self, name: str, query: str) -> None:
        """Create relation `name` as a table in the engine's database file."""
        self._create("TABLE", name, query)

    def _create(self, kind: str, name: str, query: str) -> None:
        """Create a view or table, dropping the other kind first: DuckDB replaces only its kind."""
        if self._kinds.get(name, kind) != kind:
            self.execute(f"DROP {self._kinds[name]} {name}")
        self._copied.pop(name, None)
        self.execute(f"CREATE OR REPLACE {kind} {name} AS {query}")
        self._kinds[name] = kind

    def number(self, name: str, relation: str, key: str, column: str) -> None:
        """Create relation `name`: `relation` with INT `column` 0, 1, 2... in the order of `key`."""
        rank = f"CAST(row_number() OVER (ORDER BY {key}) - 1 AS INTEGER) AS {column}"
        self.materialise(name, f"SELECT {rank}, * FROM {relation}")

    def write(
        self, query: str, folder: Path, order_by: Sequence[str] = (), partition_by: Sequence[str] = ()
    ) -> None:
        """Write a query as zstd Parquet files in a new folder."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        ordered = f"SELECT * FROM ({query}) ORDER BY {', '.join(order_by)}" if order_by else query
        if partition_by and (rows := self._small(ordered)) is not None:
            write_partitions(rows, folder, partition_by)
            return
        target, options = folder / "part-0.parquet", "FORMAT parquet, COMPRESSION zstd"
        if partition_by:
            target, options = (
                folder,
                f"{options}, PARTITION_BY ({', '.join(partition_by)}), OVERWRITE_OR_IGNORE",
            )
        quoted = str(target).replace("'", "''")
        # keeping the order makes partitioned writes a tenth slower
        keeps_order = str(bool(order_by or not partition_by)).lower()
        self.execute(f"SET preserve_insertion_order = {keeps_order}")
        self.execute(f"COPY ({ordered}) TO '{quoted}' ({options})")
        self.execute("SET preserve_insertion_order = true")

    def _small(self, query: str) -> pa.Table | None:
        """Return a query's rows, None if they are too many: COPY takes 3.5 ms for each partition."""
        most = min(MOST_ROWS_BYTES, self._memory // 16)
        try:
            with _duckdb_errors():
                reader = self._connection.sql(query).to_arrow_reader(BATCH_ROWS)
            return read_small(reader, most)
        except (OSError, pa.ArrowException) as error:  # as Arrow passes on the errors of a stream
            raise EngineError(f"DuckDB: {str(error).splitlines()[0]}") from error

    def fetch(self, query: str) -> pa.Table:
        """Return a query's rows as an Arrow table."""
        with _duckdb_errors():
            return self._connection.sql(query).to_arrow_table()

    def close(self) -> None:
        """Close the database and remove the scratch folder."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def _duckdb_errors() -> Iterator[None]:
    """Turn DuckDB's errors into an EngineError with their first line, without the query."""
    try:
        yield
    except duckdb.Error as error:
        raise EngineError(f"DuckDB: {str(error).splitlines()[0]}") from error
