"""Compare the metrics with ranx and RecTools on the same lists: ``python -m benchmarks.metrics``.

138,000 users, 100 recommendations each, 7 metrics at 5 cut-offs. Each side receives the lists and
relevant items in its own format before the clock starts. A first call on a small part keeps imports
and compilation out of the timing. The best of three calls counts, and every mean is compared with
ours. RecTools needs an older numpy than we do. It is installed into a separate virtual environment
in a temporary folder, or taken from the environment that ``--rectools`` names, and reads the same
arrays from files. The cost of bootstrap intervals for all metrics is measured as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from scipy import sparse

from models.evaluation.bootstrap import Bootstrap
from models.evaluation.metrics import match_lists
from models.options import workers

KS = (1, 5, 10, 20, 100)
NAMES = ("ndcg", "recall", "precision", "hit_rate", "mrr", "map")  # metrics that ranx also has
SAME = (
    "ndcg",
    "recall",
    "precision",
    "hit_rate",
    "mrr",
)  # defined alike by all; map is timed but not compared
Lists = npt.NDArray[np.int32]
Means = dict[str, float]

RECTOOLS = """
import json, sys, time
import numpy as np
import pandas as pd
from rectools.metrics import MAP, MRR, NDCG, HitRate, Precision, Recall, calc_metrics
folder, ks, repeats = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
given = np.load(folder + "/given.npz")
n_users, n = given["lists"].shape
lists = pd.DataFrame({
    "user_id": np.repeat(np.arange(n_users), n),
    "item_id": given["lists"].ravel().astype(np.int64),
    "rank": np.tile(np.arange(1, n + 1), n_users),
})
wanted = pd.DataFrame({"user_id": given["users"], "item_id": given["items"]})
kinds = {"ndcg": lambda k: NDCG(k=k, divide_by_achievable=True), "recall": Recall, "map": MAP}
kinds |= {"precision": Precision, "hit_rate": HitRate, "mrr": MRR}
metrics = {f"{name}@{k}": kind(k=k) for name, kind in kinds.items() for k in ks}
calc_metrics(metrics, lists.head(2000), wanted.head(2000))
seconds = []
for _ in range(repeats):
    started = time.perf_counter()
    found = calc_metrics(metrics, lists, wanted)
    seconds.append(time.perf_counter() - started)
print(json.dumps({"seconds": min(seconds), "means": {name: float(value) for name, value in found.items()}}))
"""


def world(n_users: int, n_items: int, n: int) -> tuple[Lists, sparse.csr_array]:
    """Return lists of n distinct items, and 1 to n relevant items per user, 30 % of them listed."""
    rng = np.random.default_rng(0)
    steps = rng.integers(1, n_items // n, n_users)  # at most once around the catalogue, so items are distinct
    lists = ((rng.integers(0, n_items, n_users)[:, None] + steps[:, None] * np.arange(n)) % n_items).astype(
        np.int32
    )
    size = np.minimum(1 + rng.lognormal(2, 1, n_users).astype(np.int64), n)
    users = np.repeat(np.arange(n_users), size)
    from_list = rng.random(len(users)) < 0.3  # so lists have hits
    ranks = np.minimum(rng.exponential(n / 4, len(users)).astype(np.int64), n - 1)
    items = np.where(from_list, lists[users, ranks], rng.integers(0, n_items, len(users)))
    relevant = sparse.coo_array((np.ones(len(users), np.float32), (users, items)), shape=(n_users, n_items))
    relevant = relevant.tocsr()
    relevant.sum_duplicates()
    return lists, relevant


def best(call: Callable[[], Means], repeats: int) -> tuple[float, Means]:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def ours(lists: Lists, relevant: sparse.csr_array, threads: int) -> Means:
    values = match_lists(lists, relevant, KS, threads=threads).values()
    return {f"{name}@{k}": float(np.nanmean(column)) for (name, k), column in values.items()}


def ranx(lists: Lists, relevant: sparse.csr_array, repeats: int) -> tuple[float, Means]:
    """Time ranx on all cores, without the conversion to its formats."""
    from ranx import Qrels, Run, evaluate

    def convert(n_users: int) -> tuple[Qrels, Run]:
        names = np.array([f"u{user:06}" for user in range(n_users)])
        items = np.array([f"i{item}" for item in range(relevant.shape[1])])
        scores = np.arange(lists.shape[1], 0, -1, dtype=np.float64)
        qrels = {
            name: dict.fromkeys(items[relevant.indices[start:stop]].tolist(), 1)
            for name, start, stop in zip(names, relevant.indptr, relevant.indptr[1:], strict=False)
        }
        run = {
            name: dict(zip(items[row].tolist(), scores.tolist(), strict=True))
            for name, row in zip(names, lists, strict=False)
        }
        return Qrels(qrels), Run(run)

    metrics = [f"{name}@{k}" for name in NAMES for k in KS]
    evaluate(*convert(100), metrics)
    qrels, run = convert(len(lists))
    seconds, means = best(lambda: {k: float(v) for k, v in evaluate(qrels, run, metrics).items()}, repeats)
    return seconds, means


def rectools(
    lists: Lists, relevant: sparse.csr_array, python: Path | None, repeats: int
) -> tuple[float, Means] | None:
    """Time RecTools in a separate environment; None if it cannot be installed."""
    with tempfile.TemporaryDirectory(prefix="nightshelf-rectools-") as name:
        folder = Path(name)
        if python is None:
            python = folder / "venv" / "bin" / "python"
            install = [python, "-m", "pip", "install", "--quiet", "rectools==0.19.0"]
            for command in ([sys.executable, "-m", "venv", folder / "venv"], install):
                process = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
                if process.returncode:
                    print(f"RecTools was not measured: {process.stderr.strip().splitlines()[-1:]}")
                    return None
        users = np.repeat(np.arange(len(lists)), np.diff(relevant.indptr))
        np.savez(folder / "given.npz", lists=lists, users=users, items=relevant.indices.astype(np.int64))
        command = [python, "-c", RECTOOLS, folder, json.dumps(KS), str(repeats)]
        process = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if process.returncode:
            print(f"RecTools was not measured: {process.stderr.strip().splitlines()[-1:]}")
            return None
        result = json.loads(process.stdout.splitlines()[-1])
        return result["seconds"], result["means"]


def largest_difference(means: Means, reference: Means) -> float:
    return max(abs(means[f"{name}@{k}"] - reference[f"{name}@{k}"]) for name in SAME for k in KS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=138_000)
    parser.add_argument("--items", type=int, default=26_744)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rectools", type=Path, help="the Python of an environment with RecTools")
    parser.add_argument(
        "--resamples", type=int, default=1_000, help="bootstrap resamples; 0 skips the bootstrap"
    )
    options = parser.parse_args()
    print(f"{workers(0)} cores, load {psutil.getloadavg()[0]:.1f}; seed 0, best of {options.repeats}")
    print(f"{options.users:,} users x 100 recommendations of {options.items:,} items, cut-offs {KS}")
    lists, relevant = world(options.users, options.items, 100)
    ours(lists[:100], relevant[:100], 1)
    seconds, our_means = best(lambda: ours(lists, relevant, 0), options.repeats)
    single, _ = best(lambda: ours(lists, relevant, 1), options.repeats)
    print(
        f"{'':<22} {'metrics':>8} {'seconds':>9} {'ratio':>7}  means of {', '.join(SAME)} differ by at most"
    )
    print(f"{'nightshelf':<22} {7:>8} {seconds:>9.3f} {1:>7.1f}")
    print(f"{'nightshelf, 1 thread':<22} {7:>8} {single:>9.3f} {single / seconds:>7.1f}")
    theirs, means = ranx(lists, relevant, options.repeats)
    line = f"{largest_difference(our_means, means):.1e}"
    print(f"{'ranx, all cores':<22} {6:>8} {theirs:>9.3f} {theirs / seconds:>7.1f}  {line}")
    result = rectools(lists, relevant, options.rectools, options.repeats)
    if result is not None:
        line = f"{largest_difference(our_means, result[1]):.1e}"
        print(f"{'RecTools':<22} {6:>8} {result[0]:>9.3f} {result[0] / seconds:>7.1f}  {line}")
    if options.resamples:
        values = match_lists(lists, relevant, KS).values()
        for columns in ({("ndcg", 10): values["ndcg", 10]}, values):
            started = time.perf_counter()
            Bootstrap(resamples=options.resamples).intervals(columns)
            spent = time.perf_counter() - started
            print(f"bootstrap, {options.resamples:,} resamples of {len(columns)} columns: {spent:.1f} s")


if __name__ == "__main__":
    main()
