"""Time the ingest against a hand-written DuckDB query that cleans the same logs.

    python -m benchmarks.ingest [--events 20000000] [--memory 4GiB] [--threads 2] [--repeat 1]

The query reads all CSVs, casts, drops bad rows and exact duplicates, writes Parquet by date, and sums
the weights of each user and item. The ingest and the dataset, timed separately, do the same. They
also account for every row, keep the rejected ones, and can be repeated. Each side runs in its own
process; memory is the peak of the process tree. The floor is the time to read and hash the bytes
once, plus the query.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

import psutil

START = date(2026, 1, 5)
AS_OF = date(2026, 12, 31)
DAYS = 28
LAST = "2030-01-01"
LABELS = {"cleaned": "to clean", "seconds": "with the dataset", "cpu": "total processor time"}
WEIGHTS = {"view": 1.0, "cart": 3.0, "purchase": 5.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="pairs of runs")
    parser.add_argument(
        "--folder", type=Path, help="the folder for logs and stores; default: a temporary folder"
    )
    parser.add_argument("--side", choices=("query", "ingest", "spark"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side == "query":
        query(arguments)
    elif arguments.side:
        ingest(arguments)
    elif arguments.folder:
        compare(arguments)
    else:
        with tempfile.TemporaryDirectory(prefix="nightshelf-") as folder:
            arguments.folder = Path(folder)
            compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    rows, size = logs(arguments)
    print(
        f"{rows:,} rows, {DAYS} files, {size / 2**30:.2f} GiB, {arguments.memory}, "
        f"{arguments.threads} threads"
    )
    seconds: dict[str, list[dict]] = {}
    for turn in range(arguments.repeat):
        for side in ("query", "ingest") if turn % 2 == 0 else ("ingest", "query"):
            figures = run(arguments, side)
            seconds.setdefault(side, []).append(figures)
            print(
                f"{side:>7}: {figures['seconds']:6.1f} s ({figures['cleaned']:.1f} s to clean)  "
                f"{rows / figures['seconds'] / 1e6:4.2f} M rows/s  {figures['cpu']:6.1f} s of CPU  "
                f"peak {figures['peak'] / 2**30:4.2f} GiB  {figures['what']}",
                flush=True,
            )
    for measure in ("cleaned", "seconds", "cpu"):
        ours, theirs = (min(figures[measure] for figures in seconds[side]) for side in ("ingest", "query"))
        print(f"{LABELS[measure]}: ingest / query = {ours / theirs:.2f}")
    print(f"floor: {floor(arguments):.1f} s to read and hash the bytes once, with one thread")


def logs(arguments: argparse.Namespace) -> tuple[int, int]:
    from tasks.demo.logs import write_demo_logs

    folder = arguments.folder / "logs"
    counts = folder / "rows.json"
    if not counts.exists():
        written = write_demo_logs(
            folder,
            start=START,
            days=DAYS,
            users=max(arguments.events // 50, 1000),
            items=50_000,
            events_per_day=arguments.events // DAYS,
        )
        counts.write_text(json.dumps(written.rows))
    return json.loads(counts.read_text()), sum(path.stat().st_size for path in folder.glob("events-*"))


def run(arguments: argparse.Namespace, side: str) -> dict:
    """Run one side in its own process; return its figures, time and the peak memory of its tree."""
    options = [
        "--memory",
        arguments.memory,
        "--threads",
        str(arguments.threads),
        "--folder",
        str(arguments.folder),
    ]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.ingest", "--side", side, *options]
    started_at = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        peak = [0]
        watcher = threading.Thread(target=watch, args=(process, peak))
        watcher.start()
        out, _ = process.communicate()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"{side} failed with {process.returncode}")
    return {"wall": time.perf_counter() - started_at, "peak": peak[0], **json.loads(out.splitlines()[-1])}


def watch(process: subprocess.Popen, peak: list[int]) -> None:
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            tree = [parent, *parent.children(recursive=True)]
            peak[0] = max(peak[0], sum(member.memory_info().rss for member in tree))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.05)


def floor(arguments: argparse.Namespace) -> float:
    from tasks.store.files import sha256_of

    started_at = time.perf_counter()
    for path in (arguments.folder / "logs").glob("events-*"):
        sha256_of(path)
    return time.perf_counter() - started_at


def print_figures(started_at: float, cleaned: float, summary: str) -> None:
    """Print this side's result, its seconds and its processor time, without library imports."""
    used = psutil.Process().cpu_times()
    figures = {
        "seconds": time.perf_counter() - started_at,
        "cleaned": cleaned,
        "cpu": used.user + used.system,
        "what": summary,
    }
    print(json.dumps(figures))


def query(arguments: argparse.Namespace) -> None:
    import shutil

    import duckdb

    from tasks.demo.render import COLUMNS

    target = arguments.folder / "query"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    columns_sql = ", ".join(f"'{column}': 'VARCHAR'" for column in COLUMNS)
    weights = " ".join(f"WHEN '{name}' THEN {weight}" for name, weight in WEIGHTS.items())
    started_at = time.perf_counter()
    connection = duckdb.connect(str(target / "scratch.duckdb"))
    connection.execute(
        f"SET memory_limit = '{arguments.memory}'; SET threads = {arguments.threads}; SET TimeZone = 'UTC'"
    )
    connection.execute(f"""
        CREATE TABLE clean AS
        SELECT DISTINCT
            user_id, item_id, timezone('UTC', TRY_CAST(event_time AS TIMESTAMPTZ)) AS timestamp,
            CAST(timezone('UTC', TRY_CAST(event_time AS TIMESTAMPTZ)) AS DATE) AS event_date,
            event_type, session_id, price, quantity, search_query
        FROM read_csv('{arguments.folder}/logs/events-*.csv', columns = {{{columns_sql}}}, header = true,
            auto_detect = false, delim = ',', quote = '"', escape = '"', ignore_errors = true)
        WHERE user_id <> '' AND item_id <> '' AND event_type IN ('view', 'cart', 'purchase')
            AND TRY_CAST(event_time AS TIMESTAMPTZ) BETWEEN '1990-01-01' AND '{LAST}'""")
    connection.execute(
        f"COPY clean TO '{target}/rows' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date))"
    )
    clean_seconds = time.perf_counter() - started_at
    connection.execute(f"""
        COPY (SELECT user_id, item_id, sum(CASE event_type {weights} END) AS weight FROM clean GROUP BY ALL)
        TO '{target}/entries.parquet' (FORMAT parquet, COMPRESSION zstd)""")
    [rows] = connection.execute("SELECT count(*) FROM clean").fetchone()
    connection.close()
    print_figures(started_at, clean_seconds, f"{rows:,} rows kept")


def ingest(arguments: argparse.Namespace) -> None:
    import shutil

    from tasks.configuration.configuration import Configuration
    from tasks.configuration.engines import open_engine
    from tasks.dataset.build import build_dataset
    from tasks.interactions.events import make_events
    from tasks.interactions.ingest import ingest as ingest_logs
    from tasks.interactions.ledger import Ledger
    from tasks.store.layout import Store

    target = arguments.folder / "store"
    shutil.rmtree(target, ignore_errors=True)
    configuration = Configuration.model_validate(
        {
            "engine": {
                "name": "spark" if arguments.side == "spark" else "duckdb",
                "memory": arguments.memory,
                "threads": arguments.threads,
            },
            "store": {"path": target},
            "source": {
                "path": f"{arguments.folder}/logs/events-*.csv",
                "columns": {
                    "user": "user_id",
                    "item": "item_id",
                    "timestamp": "event_time",
                    "event_type": "event_type",
                    "session": "session_id",
                },
                "event_weights": WEIGHTS,
                "max_date": LAST,
            },
        }
    )
    started_at = time.perf_counter()
    store = Store(target).create()
    with open_engine(configuration, store.runs) as engine:
        ingested = ingest_logs(configuration, store, engine, AS_OF)
        clean_seconds = time.perf_counter() - started_at
        make_events(configuration, Ledger.read(store), engine, AS_OF)
        build_dataset(configuration, engine, target / "dataset", target / "scratch")
    print_figures(started_at, clean_seconds, f"{ingested.counts.accepted:,} rows kept")


if __name__ == "__main__":
    main()
