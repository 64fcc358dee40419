"""Regressions of items on items beside each other: accuracy, processor time and memory.

    python -m benchmarks.item_regressions [--logs beauty retail movielens] [--models ease sparse_ease slim]
        [--set slim.penalty=3 ...] [--part validation] [--data FOLDER] [--large USERS ITEMS EVENTS]

Every training runs in a process of its own, with all defaults but what ``--set`` says. NDCG@10 is of
whole rankings, and the difference to the first model is paired by user. Amazon Beauty: each user's
last item is hidden, the others are a set without times. Online Retail (goods bought) and MovieLens
(ratings of 3 and more): the last 20 % of the events. Memory is the highest of the process less what
it had before the training, with all libraries loaded; kept is what the model holds afterwards.

``--large`` trains on generated events instead, and makes a list for every user.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from scipy import sparse

from models import registry
from models.dataset import Dataset, Histories
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.metrics import match_lists
from models.options import TrainingOptions
from models.splitting.split import (
    event_matrix,
    split_last,
    split_with_validation,
    to_sequences,
    train_sequences,
)
from tasks.demo.shapes import Shape, shape_events

Values = npt.NDArray[np.float64]
Task = tuple[Dataset, Histories, sparse.csr_array]
"""What to train on, whom to recommend to, and what they should get."""
N = 10
LISTED = 4_096  # users at a time
START_MS = 1_700_000_000_000


def main() -> None:
    """Print a line for each log and model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", nargs="+", default=[*LOGS], choices=[*LOGS])
    parser.add_argument("--models", nargs="+", default=["ease", "sparse_ease", "slim"])
    parser.add_argument("--set", nargs="+", default=[], dest="changes")
    parser.add_argument("--part", choices=["test", "validation"], default="test")
    parser.add_argument("--data", default=os.environ.get("NIGHTSHELF_DATA", "../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--large", nargs=3, type=int, metavar=("USERS", "ITEMS", "EVENTS"))
    parser.add_argument("--one", nargs=2, metavar=("LOG", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options)))
        return
    print(
        f"{'log':10} {'model':12} {'NDCG@10':>8} {'difference':>28} {'ratio':>6} {'CPU s':>7} {'s':>7}",
        end=" ",
    )
    print(f"{'MiB':>7} {'kept':>7} {'expected s, MiB, kept':>22}  report")
    for log in ["large"] if options.large else options.logs:
        first: Values | None = None
        for model in options.models:
            figures = _in_a_process(log, model)
            if figures is None:
                continue
            values = np.array(figures.pop("values"))
            first = values if first is None else first
            print(line(log, model, values, first, figures), flush=True)


def _in_a_process(log: str, model: str) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "benchmarks.item_regressions", *sys.argv[1:], "--one", log, model]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if finished.returncode:
        print(
            f"{log:10} {model:12} failed: {(finished.stderr.strip().splitlines() or ['?'])[-1]}", flush=True
        )
        return None
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def line(log: str, model: str, values: Values, first: Values, figures: dict[str, Any]) -> str:
    """Return a line of the table."""
    difference = ""
    if len(values) > 1:
        by_user = Bootstrap().intervals({("difference", N): values - first})["difference", N]
        difference = f"{by_user.value:+.4f} [{by_user.low:+.4f}, {by_user.high:+.4f}]"
    ratio = values.mean() / max(first.mean(), 1e-9)
    expected = f"{figures['expected_seconds']:.1f} {figures['expected_memory'] / 2**20:.0f}"
    return (
        f"{log:10} {model:12} {values.mean():8.4f} {difference:>28} {ratio:6.3f} "
        f"{figures['cpu']:7.1f} {figures['seconds']:7.1f} {figures['memory'] / 2**20:7.1f} "
        f"{figures['kept'] / 2**20:7.1f} {expected:>15} {figures['expected_kept'] / 2**20:6.1f}  "
        f"{figures['report']}"
    )


def measure(log: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train and list once; return figures of both."""
    from models.options import Size

    dataset, histories, relevant = _task(log, options)
    changes = dict(change.split("=", 1) for change in options.changes if change.startswith(f"{name}."))
    settings = {key.partition(".")[2]: _value(text) for key, text in changes.items()}
    config = registry.config(name, settings)
    products = float(np.square(np.diff(dataset.matrix.indptr), dtype=np.float64).sum())
    cost = registry.model_class(name).cost(
        config, Size(dataset.n_users, dataset.n_items, dataset.matrix.nnz, products)
    )
    small = np.unique(np.random.default_rng(0).integers(0, 400, (2, 3_000)), axis=1)
    small_matrix = sparse.csr_array((np.ones(small.shape[1], np.float32), tuple(small)), shape=(400, 400))
    registry.create(name, config).fit(Dataset(small_matrix)).recommend(Histories(small_matrix), N)  # kernels
    ctypes.CDLL(None).malloc_trim(0)  # what reading the log has left behind
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest memory is that of now
    before, started, cpu = psutil.Process().memory_info().rss, time.perf_counter(), time.process_time()
    model = registry.create(name, config).fit(dataset, TrainingOptions(threads=options.threads))
    figures: dict[str, Any] = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "memory": _highest() - before,
        "kept": sum(array.nbytes for array in model._arrays().values()),
        "expected_seconds": cost.seconds,
        "expected_memory": cost.memory,
        "expected_kept": cost.kept,
    }
    started, cpu, values = time.perf_counter(), time.process_time(), []
    for start in range(0, len(histories), LISTED):
        part = histories.rows(slice(start, start + LISTED))
        lists = model.recommend(part, N, exclude=part.matrix, threads=options.threads).items
        matches = match_lists(lists, relevant[start : start + LISTED], [N]).values(["ndcg"])["ndcg", N]
        values += [0.0] if log == "large" else matches.tolist()
    listing = f"lists {time.perf_counter() - started:.1f} s, CPU {time.process_time() - cpu:.1f} s"
    highest = f"highest {_highest() / 2**20:.0f} MiB of the process"
    return figures | {"values": values, "report": f"{model.report} {listing}, {highest}"}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _highest() -> int:
    """Return the highest resident bytes of this process since that was last reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])


def _task(log: str, options: argparse.Namespace) -> Task:
    if log == "large":
        return _large(*options.large)
    return LOGS[log](Path(options.data), options.part == "validation")


def _beauty(data: Path, validation: bool) -> Task:
    rows = [
        np.array(line.split()[1:], dtype=np.int32) - 1
        for line in (data / "amazon-beauty/sequences.txt").read_text(encoding="ascii").splitlines()
    ]
    n_items = 1 + max(int(row.max()) for row in rows)
    if validation:
        rows = [row[:-1] for row in rows]
    ends = np.concatenate(([0], np.cumsum([len(row) - 1 for row in rows])))
    past = sparse.csr_array(
        (np.ones(ends[-1], np.float32), np.concatenate([row[:-1] for row in rows]), ends),
        shape=(len(rows), n_items),
    )
    past.sum_duplicates()
    past.data[:] = 1
    last = np.array([row[-1] for row in rows], dtype=np.int32)
    hidden = sparse.csr_array(
        (np.ones(len(rows), np.float32), last, np.arange(len(rows) + 1)), shape=past.shape
    )
    return Dataset(past), Histories(past), hidden


def _retail(data: Path, validation: bool) -> Task:
    import pandas as pd

    files = sorted((data / "online-retail/by-day").glob("*.csv"))
    table = pd.concat([pd.read_csv(file, dtype={"StockCode": str}) for file in files]).drop_duplicates()
    table = table[table["CustomerID"].notna() & (table["Quantity"] > 0)]
    table = table[table["StockCode"].str.match(r"\d{5}")]
    times = pd.to_datetime(table["InvoiceDate"]).to_numpy().astype("datetime64[us]")
    return _temporal(table["CustomerID"].to_numpy(), table["StockCode"].to_numpy(str), times, validation)


def _movielens(data: Path, validation: bool) -> Task:
    import pandas as pd

    table = pd.read_parquet(data / "movielens-1m/ratings.parquet")
    table = table[table["rating"] >= 3].sort_values(["user_id", "position"], kind="stable")
    times = table["timestamp"].to_numpy().astype("datetime64[us]")
    return _temporal(table["user_id"].to_numpy(), table["item_id"].to_numpy(), times, validation)


def _temporal(users: Any, items: Any, times: Any, validation: bool) -> Task:
    names, users = np.unique(users, return_inverse=True)
    codes, items = np.unique(items, return_inverse=True)
    sequences, _ = to_sequences(users, items.astype(np.int32), times, len(names))
    if validation:
        split, _ = split_with_validation(sequences, len(codes), 0.2, 0.2)
    else:
        split = split_last(sequences, len(codes), 0.2)
    past = train_sequences(sequences, split)
    dataset, warm = Dataset(event_matrix(past, len(codes)), past), split.warm_users
    return dataset, dataset.histories.rows(warm), split.warm[warm]


def _large(n_users: int, n_items: int, n_events: int) -> Task:
    shape = Shape(n_users, n_items, n_events, 180, niches=n_items // 100, tail=1.1, loyalty=0.9, repeats=0.2)
    users, items, times = shape_events(shape, seed=7)
    sequences, _ = to_sequences(
        users, items.astype(np.int32), (times + START_MS).astype("datetime64[ms]"), int(users.max()) + 1
    )
    dataset = Dataset(event_matrix(sequences, int(items.max()) + 1), sequences)
    return dataset, dataset.histories, dataset.matrix


LOGS: dict[str, Callable[[Path, bool], Task]] = {
    "beauty": _beauty,
    "retail": _retail,
    "movielens": _movielens,
}


if __name__ == "__main__":
    main()
