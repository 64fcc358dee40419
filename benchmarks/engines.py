"""The Spark engine against DuckDB, on real logs: ``python -m benchmarks.engines --config X --as-of D``.

Both take the logs in and build dataset and popularity, each into a temporary store of its own; then every
table is compared row for row, sorted by all of its columns. The exit code is 1 where one row differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.configuration.configuration import load
from tasks.configuration.engines import open_engine
from tasks.dataset.build import build_dataset
from tasks.interactions.events import make_events
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.recommendations.popular_items import popular_items
from tasks.store.layout import Store

ENGINES = ("duckdb", "spark")
PARTS = ("users", "items", "pairs", "entries", "sequences", "user_attributes", "item_attributes", "ladder")
ROWS = 100_000  # compared at a time


@dataclass
class Outcome:
    """What one engine gave: the Parquet files of each table, and seconds by step."""

    tables: dict[str, list[Path]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step."""
        started = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - started


def run(config: Path, as_of: date, engine_name: str, folder: Path) -> Outcome:
    """Take in, build and rank with one engine."""
    configuration = load(config, {"engine.name": engine_name, "store.path": str(folder / "store")})
    store, dataset, outcome = Store(folder / "store").create(), folder / "dataset", Outcome()
    with outcome.timed("start"), open_engine(configuration, store.runs) as engine:
        with outcome.timed("ingest"):
            ingest(configuration, store, engine, as_of)
        ledger = Ledger.read(store)
        with outcome.timed("dataset"):
            make_events(configuration, ledger, engine, as_of)
            build_dataset(configuration, engine, dataset, folder)
        with outcome.timed("popular_items"):
            popular = popular_items(configuration, engine, as_of, dataset)
    pq.write_table(popular, folder / "popular_items.parquet")
    outcome.seconds["start"] -= sum(s for step, s in outcome.seconds.items() if step != "start")
    outcome.tables = {name: sorted((dataset / name).glob("*.parquet")) for name in PARTS}
    outcome.tables |= {"interactions": ledger.parts(), "popular_items": [folder / "popular_items.parquet"]}
    return outcome


class Table:
    """The rows of one table, in the order of all columns, without regard to how the files lie."""

    def __init__(self, paths: list[Path], spill: Path) -> None:
        self._con = duckdb.connect(config={"temp_directory": str(spill), "memory_limit": "2GiB"})
        self._con.execute("SET TimeZone = 'UTC'")
        files = ", ".join(f"'{path}'" for path in paths)
        read = f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
        columns = sorted(self._con.execute(f"DESCRIBE SELECT * FROM {read}").fetchall())
        plain = [
            f"timezone('UTC', {name}) AS {name}" if kind.startswith("TIMESTAMP WITH") else name
            for name, kind, *_ in columns
        ]
        self._con.execute(f"CREATE VIEW t AS SELECT {', '.join(plain)} FROM {read}")

    def summary(self) -> tuple[int, str]:
        """Return the number of rows and a hash that does not depend on their order."""
        query = "SELECT count(*), coalesce(sum(CAST(hash(t) AS HUGEINT)), 0) FROM t"
        rows, total = self._con.execute(query).fetchall()[0]
        return int(rows), f"{int(total) % 2**64:016x}"

    def batches(self) -> Iterator[pa.Table]:
        """Yield the rows in order."""
        for batch in self._con.sql("SELECT * FROM t ORDER BY ALL").to_arrow_reader(ROWS):
            yield pa.Table.from_batches([batch])


def equal(one: Table, other: Table) -> bool:
    """Whether two tables hold the same rows and types."""
    pairs = zip_longest(one.batches(), other.batches())
    return all(a is not None and b is not None and a.equals(b) for a, b in pairs)


def compare(outcomes: dict[str, Outcome], spill: Path) -> bool:
    """Print every table's rows and hashes; return whether all are equal."""
    print(f"{'table':<16} {'rows':>12} {'duckdb':>17} {'spark':>17}")
    same = True
    for name in sorted(outcomes["duckdb"].tables):
        tables = [Table(outcomes[engine].tables[name], spill) for engine in ENGINES]
        (rows, one), (others, other) = (table.summary() for table in tables)
        agrees = rows == others and equal(*tables)
        same &= agrees
        print(
            f"{name:<16} {rows:>12,} {one:>17} {other:>17}  {'equal' if agrees else f'DIFFER ({others:,})'}"
        )
    return same


def print_seconds(outcomes: dict[str, Outcome]) -> None:
    """Print what each step took, and the ratio."""
    print(f"{'seconds':<16} {'duckdb':>10} {'spark':>10} {'ratio':>8}")
    for step in ("start", "ingest", "dataset", "popular_items"):
        one, other = (outcomes[engine].seconds[step] for engine in ENGINES)
        print(f"{step:<16} {one:>10.1f} {other:>10.1f} {other / max(one, 1e-3):>8.1f}")
    print(flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nightshelf-engines-") as name:
        folder = Path(name)
        outcomes = {engine: run(options.config, options.as_of, engine, folder / engine) for engine in ENGINES}
        print_seconds(outcomes)
        same = compare(outcomes, folder / "spill")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
