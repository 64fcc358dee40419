"""Time the ingest against a hand-written DuckDB query that cleans the same logs.

    python -m benchmarks.ingest [--events 20000000] [--memory 4GiB] [--threads 2] [--repeat 1]

The query reads all CSVs, casts, drops bad rows and exact duplicates, writes Parquet by date and sums the
weights of each user and item. The ingest (and the dataset, told apart) does that, and accounts for every
row, keeps the refused ones, and can be repeated. Each side runs in a process of its own; memory is the peak
of its process tree. The floor is the time to read and hash the bytes once, and the query.
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
LABELS = {"cleaned": "to clean", "seconds": "with the dataset", "cpu": "processor time, all of it"}
WEIGHTS = {"view": 1.0, "cart": 3.0, "purchase": 5.0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--memory", default="4GiB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="pairs of runs")
    parser.add_argument("--folder", type=Path, help="where logs and stores go; a temporary folder without")
    parser.add_argument("--side", choices=("query", "ingest", "spark"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side == "query":
        query(given)
    elif given.side:
        ingest(given)
    elif given.folder:
        compare(given)
    else:
        with tempfile.TemporaryDirectory(prefix="nightshelf-") as folder:
            given.folder = Path(folder)
            compare(given)


def compare(given: argparse.Namespace) -> None:
    rows, size = logs(given)
    print(f"{rows:,} rows, {DAYS} files, {size / 2**30:.2f} GiB, {given.memory}, {given.threads} threads")
    seconds: dict[str, list[dict]] = {}
    for turn in range(given.repeat):
        for side in ("query", "ingest") if turn % 2 == 0 else ("ingest", "query"):
            told = run(given, side)
            seconds.setdefault(side, []).append(told)
            print(
                f"{side:>7}: {told['seconds']:6.1f} s ({told['cleaned']:.1f} s to clean)  "
                f"{rows / told['seconds'] / 1e6:4.2f} M rows/s  {told['cpu']:6.1f} s of processors  "
                f"peak {told['peak'] / 2**30:4.2f} GiB  {told['what']}",
                flush=True,
            )
    for what in ("cleaned", "seconds", "cpu"):
        ours, theirs = (min(told[what] for told in seconds[side]) for side in ("ingest", "query"))
        print(f"{LABELS[what]}: ingest / query = {ours / theirs:.2f}")
    print(f"floor: {floor(given):.1f} s to read and hash the bytes once, with one thread")


def logs(given: argparse.Namespace) -> tuple[int, int]:
    from tasks.demo.logs import write_demo_logs

    folder = given.folder / "logs"
    told = folder / "rows.json"
    if not told.exists():
        made = write_demo_logs(
            folder,
            start=START,
            days=DAYS,
            users=max(given.events // 50, 1000),
            items=50_000,
            events_per_day=given.events // DAYS,
        )
        told.write_text(json.dumps(made.rows))
    return json.loads(told.read_text()), sum(path.stat().st_size for path in folder.glob("events-*"))


def run(given: argparse.Namespace, side: str) -> dict:
    """Run one side in a process of its own; return what it told, its time and the peak memory of its tree."""
    options = ["--memory", given.memory, "--threads", str(given.threads), "--folder", str(given.folder)]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.ingest", "--side", side, *options]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        peak = [0]
        watcher = threading.Thread(target=watch, args=(process, peak))
        watcher.start()
        out, _ = process.communicate()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"{side} failed with {process.returncode}")
    return {"wall": time.perf_counter() - began, "peak": peak[0], **json.loads(out.splitlines()[-1])}


def watch(process: subprocess.Popen, peak: list[int]) -> None:
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            tree = [parent, *parent.children(recursive=True)]
            peak[0] = max(peak[0], sum(member.memory_info().rss for member in tree))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.05)


def floor(given: argparse.Namespace) -> float:
    from tasks.store.files import sha256_of

    began = time.perf_counter()
    for path in (given.folder / "logs").glob("events-*"):
        sha256_of(path)
    return time.perf_counter() - began


def tell(began: float, cleaned: float, what: str) -> None:
    """Print what this side did, its seconds and the processor's (import of libraries aside)."""
    used = psutil.Process().cpu_times()
    told = {
        "seconds": time.perf_counter() - began,
        "cleaned": cleaned,
        "cpu": used.user + used.system,
        "what": what,
    }
    print(json.dumps(told))


def query(given: argparse.Namespace) -> None:
    import shutil

    import duckdb

    from tasks.demo.render import COLUMNS

    target = given.folder / "query"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    spelled = ", ".join(f"'{column}': 'VARCHAR'" for column in COLUMNS)
    weights = " ".join(f"WHEN '{name}' THEN {weight}" for name, weight in WEIGHTS.items())
    began = time.perf_counter()
    connection = duckdb.connect(str(target / "scratch.duckdb"))
    connection.execute(
        f"SET memory_limit = '{given.memory}'; SET threads = {given.threads}; SET TimeZone = 'UTC'"
    )
    connection.execute(f"""
        CREATE TABLE clean AS
        SELECT DISTINCT
            user_id, item_id, timezone('UTC', TRY_CAST(event_time AS TIMESTAMPTZ)) AS timestamp,
            CAST(timezone('UTC', TRY_CAST(event_time AS TIMESTAMPTZ)) AS DATE) AS event_date,
            event_type, session_id, price, quantity, search_query
        FROM read_csv('{given.folder}/logs/events-*.csv', columns = {{{spelled}}}, header = true,
            auto_detect = false, delim = ',', quote = '"', escape = '"', ignore_errors = true)
        WHERE user_id <> '' AND item_id <> '' AND event_type IN ('view', 'cart', 'purchase')
            AND TRY_CAST(event_time AS TIMESTAMPTZ) BETWEEN '1990-01-01' AND '{LAST}'""")
    connection.execute(
        f"COPY clean TO '{target}/rows' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date))"
    )
    first = time.perf_counter() - began
    connection.execute(f"""
        COPY (SELECT user_id, item_id, sum(CASE event_type {weights} END) AS weight FROM clean GROUP BY ALL)
        TO '{target}/entries.parquet' (FORMAT parquet, COMPRESSION zstd)""")
    [kept] = connection.execute("SELECT count(*) FROM clean").fetchone()
    connection.close()
    tell(began, first, f"{kept:,} rows kept")


def ingest(given: argparse.Namespace) -> None:
    import shutil

    from tasks.configuration.configuration import Configuration
    from tasks.configuration.engines import open_engine
    from tasks.dataset.build import build_dataset
    from tasks.interactions.events import make_events
    from tasks.interactions.ingest import ingest as take_in
    from tasks.interactions.ledger import Ledger
    from tasks.store.layout import Store

    target = given.folder / "store"
    shutil.rmtree(target, ignore_errors=True)
    configuration = Configuration.model_validate(
        {
            "engine": {
                "name": "spark" if given.side == "spark" else "duckdb",
                "memory": given.memory,
                "threads": given.threads,
            },
            "store": {"path": target},
            "source": {
                "path": f"{given.folder}/logs/events-*.csv",
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
    began = time.perf_counter()
    store = Store(target).create()
    with open_engine(configuration, store.runs) as engine:
        done = take_in(configuration, store, engine, AS_OF)
        first = time.perf_counter() - began
        make_events(configuration, Ledger.read(store), engine, AS_OF)
        build_dataset(configuration, engine, target / "dataset", target / "scratch")
    tell(began, first, f"{done.counts.accepted:,} rows kept")


if __name__ == "__main__":
    main()
