"""ALS against implicit on MovieLens-1M: ``python -m benchmarks.als [--ratings FILE] [--factors 64 128 192]``.

Seconds an epoch (users given items, items given users) of our solver, of implicit's Cholesky and of its
conjugate gradient (3 steps: not the exact solution), in turn in one process, on the same matrix and threads;
the medians, and how many times ours. The floor is what the exact solution needs at least: symmetric products
and Cholesky decompositions in the smaller of the two spaces, at the speed of a float32 product of two
matrices measured here; and the vectors that are read once an entry, at the speed of a copy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.dataset import Dataset
from models.factors.als import ALS, ALSConfig
from models.options import Progress, TrainingOptions, workers

Seconds = list[tuple[float, float]]  # wall clock and CPU, an epoch each


def read_matrix(path: Path) -> sparse.csr_array:
    """Return ones at the rated pairs, csr float32 (n_users, n_items)."""
    from tasks.evaluation.protocol_files import read_ratings

    ratings = read_ratings(path)
    shape = (len(ratings.user_ids), len(ratings.item_ids))
    pairs = np.unique(ratings.users * shape[1] + ratings.items)
    parts = (np.ones(len(pairs), np.float32), (pairs // shape[1], pairs % shape[1]))
    return sparse.coo_array(parts, shape=shape).tocsr()


class Clock:
    """Seconds between calls, wall clock and CPU; the first epoch, which starts cold, is left out."""

    def __init__(self) -> None:
        self.seconds: Seconds = []
        self._last = (time.perf_counter(), time.process_time())

    def __call__(self, *_: object) -> None:
        """Note the end of an epoch, whatever the trainer says of it."""
        now = (time.perf_counter(), time.process_time())
        self.seconds.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def medians(self) -> tuple[float, float]:
        """Return the median seconds of an epoch, wall clock and CPU."""
        wall, cpu = zip(*self.seconds[1:], strict=True)
        return statistics.median(wall), statistics.median(cpu)


def nightshelf(matrix: sparse.csr_array, factors: int, epochs: int, threads: int) -> tuple[float, float]:
    clock = Clock()

    def told(_: Progress) -> None:
        clock()

    options = TrainingOptions(device="cpu", threads=threads, progress=told)
    ALS(ALSConfig(factors=factors, iterations=epochs)).fit(Dataset(matrix), options)
    return clock.medians()


def implicit_als(use_cg: bool) -> Callable[[sparse.csr_array, int, int, int], tuple[float, float]]:
    def train(matrix: sparse.csr_array, factors: int, epochs: int, threads: int) -> tuple[float, float]:
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors, 40.0, 4.33, iterations=epochs, use_cg=use_cg, num_threads=threads, random_state=0
            )
            clock = Clock()
            model.fit(sparse.csr_matrix(matrix), show_progress=False, callback=clock)
        return clock.medians()

    return train


def product_speed() -> float:
    """Return the flops a second of one thread in a float32 product of 1024 x 1024."""
    a = np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)
    out, best = np.empty_like(a), np.inf
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(8):
            started = time.process_time()
            np.matmul(a, a, out=out)
            best = min(best, time.process_time() - started)
    return 2 * 1024**3 / best


def copy_speed() -> float:
    """Return the bytes a second that one thread can read beyond the caches."""
    a = np.zeros(1 << 26, np.float32)
    b, best = a.copy(), np.inf
    for _ in range(4):
        started = time.process_time()
        np.copyto(b, a)
        best = min(best, time.process_time() - started)
    return a.nbytes / best


def floor(matrix: sparse.csr_array, d: int) -> tuple[float, float]:
    """Return the flops and the bytes that an epoch needs at least."""
    lengths: npt.NDArray[np.float64] = np.concatenate(
        [np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=matrix.shape[1])]
    ).astype(np.float64)
    small = np.minimum(lengths, d)
    flops = (lengths * d * small + small**3 / 3).sum()  # half of a full product, then Cholesky
    flops += sum(matrix.shape) * d * d  # Y'Y, half of it
    return float(flops), 2.0 * matrix.nnz * d * 4


def compare(matrix: sparse.csr_array, factors: int, epochs: int, threads: int) -> None:
    ways = {
        "nightshelf": nightshelf,
        "implicit Cholesky": implicit_als(use_cg=False),
        "implicit CG": implicit_als(use_cg=True),
    }
    found = {way: run(matrix, factors, epochs, threads) for way, run in ways.items()}
    print(f"{factors} factors, {threads} threads, seconds an epoch and how many times ours:")
    for place, clock in enumerate(("wall clock", "CPU")):
        ours = found["nightshelf"][place]
        print(
            f"  {clock}:", ", ".join(f"{w} {s[place]:.2f} ({s[place] / ours:.2f})" for w, s in found.items())
        )
    flops, read = floor(matrix, factors)
    by_flops, by_bytes = flops / product_speed(), read / copy_speed()
    share = max(by_flops, by_bytes) / found["nightshelf"][1]
    print(
        f"  floor: {flops / 1e9:.0f} Gflop = {by_flops:.2f} CPU s, {read / 1e9:.1f} GB = {by_bytes:.2f} s;",
        end=" ",
    )
    print(f"ours is at {share:.0%} of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = os.environ.get("NIGHTSHELF_DATA", "../shared/data")
    parser.add_argument("--ratings", type=Path, default=Path(data) / "movielens-1m" / "ratings.parquet")
    parser.add_argument("--factors", type=int, nargs="+", default=[64, 128, 192])
    parser.add_argument("--epochs", type=int, default=4, help="epochs timed, after one that is not")
    parser.add_argument("--threads", type=int, default=workers(0))
    arguments = parser.parse_args()
    matrix = read_matrix(arguments.ratings)
    print(f"{matrix.shape[0]} users x {matrix.shape[1]} items, {matrix.nnz} entries", end="; ")
    print(f"{workers(0)} cores, load {psutil.getloadavg()[0]:.1f}")
    for factors in arguments.factors:
        compare(matrix, factors, arguments.epochs + 1, arguments.threads)


if __name__ == "__main__":
    main()
