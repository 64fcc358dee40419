"""Time a night on MovieLens-1M against a plain script with implicit and RecTools.

    python -m benchmarks.night --rivals PYTHON [--data FOLDER] [--threads 2] [--repeat 1]
    python -m benchmarks.night --events 10000000 --users 300000

The night: one Parquet file, ALS (128 factors, 12 rounds), item kNN and popularity, measured and
published, without Prefect. The script (`night_script.py`) reads, splits, fits the three, measures
them, and writes lists for all users and all items. It needs RecTools, which is not among this
project's dependencies, so ``--rivals`` is the Python of an environment of its own:

    python -m venv rivals && rivals/bin/pip install implicit==0.7.3 rectools==0.19.0 "pyarrow<21"

Without ``--rivals``, the night runs alone. The two take turns, each in a process of its own. Memory
is the peak of the process tree; processor time includes children. With ``--events``, the night alone
runs on as many generated events.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import psutil

STARTED = time.perf_counter()
T = TypeVar("T")
AS_OF = {"movielens": date(2003, 2, 28), "generated": date(2026, 1, 31)}
DAYS = 27
CONFIGURATION = """
[source]
path = "{path}"
[source.columns]
user = "user_id"
item = "item_id"
timestamp = "{timestamp}"
[train]
models = ["popularity", "item_knn", "als"]
serve = "als"
[models.als]
factors = 128
iterations = 12
[top_n]
n = 20
[engine]
threads = {threads}
[store]
path = "{store}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("NIGHTSHELF_DATA", "../shared/data"))
    parser.add_argument("--rivals", help="the Python of an environment with implicit and RecTools")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1, help="pairs of runs")
    parser.add_argument("--events", type=int, help="generate so many events instead")
    parser.add_argument("--users", type=int, default=300_000, help="generated users")
    parser.add_argument("--night", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.night:
        night(Path(arguments.night), AS_OF["generated" if arguments.events else "movielens"])
        return
    with tempfile.TemporaryDirectory(prefix="nightshelf-") as folder:
        compare(arguments, Path(folder))


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Run both sides in turn and print their figures and ratios."""
    ratings = Path(arguments.data).resolve() / "movielens-1m" / "ratings.parquet"
    columns = {"path": str(ratings), "timestamp": "timestamp"}
    if arguments.events:
        columns = {"path": f"{generated(arguments, folder)}/events-*.csv", "timestamp": "event_time"}
    config = folder / "nightshelf.toml"
    config.write_text(
        CONFIGURATION.format(**columns, threads=arguments.threads, store=folder / "store"), encoding="utf-8"
    )
    ours = [sys.executable, "-W", "ignore", "-m", "benchmarks.night", "--night", str(config)]
    if arguments.events:
        ours += ["--events", str(arguments.events)]
    script = Path(__file__).with_name("night_script.py")
    sides = {"night": ours}
    if arguments.rivals and not arguments.events:
        theirs = [str(script), str(ratings), str(folder), str(arguments.threads)]
        sides["script"] = [arguments.rivals, "-W", "ignore", *theirs]
    figures: dict[str, list[dict[str, float]]] = {}
    print(f"{arguments.threads} threads, load {psutil.getloadavg()[0]:.1f}")
    for _ in range(arguments.repeat):
        for side, command in sides.items():
            figures.setdefault(side, []).append(run(side, command))
    if "script" in figures:
        for clock in ("seconds", "cpu"):
            ratio = min(f[clock] for f in figures["night"]) / min(f[clock] for f in figures["script"])
            print(f"{clock}: night / script = {ratio:.2f}")


def generated(arguments: argparse.Namespace, folder: Path) -> Path:
    from tasks.demo.logs import write_demo_logs

    write_demo_logs(
        folder / "logs",
        start=AS_OF["generated"] - timedelta(days=DAYS),
        days=DAYS + 1,
        users=arguments.users,
        items=50_000,
        events_per_day=arguments.events // (DAYS + 1),
    )
    return folder / "logs"


def run(side: str, command: list[str]) -> dict[str, float]:
    """Run one side; print and return its seconds, processor time and peak memory."""
    from tasks.runtime.usage import family, resident

    used = processor_time()
    started, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, resident(family(parent)))
            time.sleep(0.1)
        out = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{side} failed with {process.returncode}:\n{out}")
    seconds, cpu = time.perf_counter() - started, processor_time() - used
    print(f"{side}: {seconds:.1f} s, {cpu:.1f} s of CPU, peak {peak / 2**30:.2f} GiB")
    print("".join(f"  {line}\n" for line in out.splitlines()), end="", flush=True)
    return {"seconds": seconds, "cpu": cpu}


def processor_time() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def night(config: Path, as_of: date) -> None:
    """Run the night here; print the wall and processor seconds of each station."""
    from flows.night.run import run_night
    from tasks.configuration.configuration import load

    taken = {"imports": (time.perf_counter() - STARTED, processor_time())}

    def step(name: str, station: Callable[[], T]) -> T:
        started, used = time.perf_counter(), processor_time()
        result = station()
        taken[name] = (time.perf_counter() - started, processor_time() - used)
        return result

    configuration = load(config)
    shutil.rmtree(configuration.store.path, ignore_errors=True)
    run_night(configuration, as_of, step=step)
    seconds, cpu = time.perf_counter() - STARTED, processor_time()
    taken["between and after"] = (
        seconds - sum(s for s, _ in taken.values()),
        cpu - sum(used for _, used in taken.values()),
    )
    for name, (wall, used) in taken.items():
        print(f"{name:24s} {wall:6.1f} s, {used:6.1f} s of CPU")


if __name__ == "__main__":
    main()
