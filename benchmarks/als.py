"""Compare trainings of ALS: CPU seconds until the model is good, and how good it becomes.

    python -m benchmarks.als [--logs movielens-1m large] [--factors 128 512] [--limit 600]

The logs are MovieLens-1M and a generated one of 500,000 users and 100,000 items. A tenth of the
pairs is hidden. After every epoch (users given items, items given users), the exact vectors of up
to 2,000 users are solved from the items', and their lists are compared with the hidden pairs. That
time does not count; preparing the data does. A training ends when three epochs in a row have not
raised NDCG@10, or at the limit.

The rivals are implicit (conjugate gradients, Cholesky) and, if it is installed, irspack (conjugate
gradients, iALS++, Cholesky). Everybody has one thread, one thread of BLAS, and starts from random
items of length 1. irspack minimises the loss of Nightshelf, implicit that with a
`regularization_exponent` of 0. Both get the best of the same six settings, by five epochs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.dataset import Dataset
from models.evaluation.metrics import match_lists, ndcg
from models.factors import als
from models.factors.als_checkpoint import State
from models.factors.least_squares import (
    STEPS,
    cpu_solver,
    principal_axes,
    rotate,
    row_problems,
    solve_rotated,
    solving,
)
from models.options import TrainingOptions
from models.ranking.topn import top_n_factors
from tasks.demo.shapes import Shape, shape_events

Floats = npt.NDArray[np.float32]
Setting = tuple[float, float]  # unobserved_ratio and shrinkage
LARGE = Shape(500_000, 100_000, 10_000_000, 180, niches=400, tail=1.1, loyalty=0.9, repeats=0.2)
HIDDEN, USERS, PATIENCE = 0.1, 2_000, 3
SETTINGS = [(ratio, shrinkage) for ratio in (10.0, 30.0) for shrinkage in (0.03, 0.05, 0.08)]


@dataclass(frozen=True)
class Log:
    """Pairs to train on, and users with hidden pairs to find."""

    train: sparse.csr_array
    histories: sparse.csr_array
    hidden: sparse.csr_array

    @classmethod
    def split(cls, matrix: sparse.csr_array) -> Log:
        """Hide a tenth of the pairs."""
        rng = np.random.default_rng(0)
        hide = rng.random(matrix.nnz) < HIDDEN
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        train, hidden = (_ones(rows[part], matrix.indices[part], matrix.shape) for part in (~hide, hide))
        users = np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(hidden.indptr) > 0))
        users = np.sort(rng.choice(users, min(len(users), USERS), replace=False))
        return cls(train, train[users], hidden[users])


@dataclass
class Watch:
    """Measures the items' vectors after every epoch, with the clock stopped."""

    log: Log
    limit: float
    epochs: int
    unobserved: float = 1.0  # of the loss that the vectors minimise, as in row_problems
    alpha: float = 1.0
    penalty: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = np.ones_like
    curve: list[tuple[float, float]] = field(default_factory=list)
    spent: float = 0.0
    started: float = field(default_factory=time.process_time)

    def __call__(self, items: Floats) -> None:
        """Record an epoch; StopIteration ends the training."""
        self.spent += time.process_time() - self.started
        self.curve.append((self.spent, self._quality(items)))
        values = [value for _, value in self.curve]
        stale = len(values) - 1 - int(np.argmax(values)) >= PATIENCE
        if stale or self.spent > self.limit or len(values) >= self.epochs:
            raise StopIteration
        self.started = time.process_time()

    def _quality(self, items: Floats) -> float:
        """Return the mean NDCG@10 of the users, solved exactly."""
        known = np.bincount(self.log.train.indices, minlength=len(items)) > 0
        items = np.where(known[:, None], items, np.float32(0))
        rows = row_problems(
            self.log.histories,
            alpha=self.alpha,
            unobserved=self.unobserved,
            penalty=self.penalty,
            known=known,
        )
        with solving():
            basis, squares = principal_axes(items)
            solution = solve_rotated(rows, rotate(items, basis), squares, 1)
        top = top_n_factors(
            solution.solved, solution.fixed, 10, exclude=self.log.histories, allowed=known, threads=1
        )
        return float(np.nanmean(ndcg(match_lists(top.items, self.log.hidden, [10], threads=1), 10)))


def _ones(
    rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], shape: tuple[int, int]
) -> sparse.csr_array:
    matrix = sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape).tocsr()
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def read_log(name: str, data: Path) -> Log:
    if name == "large":
        users, items, _ = shape_events(LARGE, seed=7)
        return Log.split(_ones(users, items, (LARGE.users, LARGE.items)))
    from tasks.evaluation.protocol_files import read_ratings

    ratings = read_ratings(data / name / "ratings.parquet")
    return Log.split(_ones(ratings.users, ratings.items, ratings.shape))


def nightshelf(watch: Watch, factors: int, setting: Setting, steps: int = STEPS) -> None:
    config = als.ALSConfig(
        factors=factors, iterations=watch.epochs, unobserved_ratio=setting[0], shrinkage=setting[1]
    )
    model, round_of_als = als.ALS(config), als._round

    def watched(*arguments: object) -> tuple[State, float]:
        state, loss = round_of_als(*arguments)
        watch.unobserved, regularization = model._strengths
        watch.penalty = lambda total: regularization * total
        watch(state.items)
        return state, loss

    with (
        mock.patch.object(als, "_round", watched),
        mock.patch.object(als, "cpu_solver", lambda threads: cpu_solver(threads, steps)),
    ):
        model.fit(Dataset(watch.log.train), TrainingOptions(device="cpu", threads=1))


def implicit(*, use_cg: bool) -> Callable[[Watch, int, Setting], None]:
    def train(watch: Watch, factors: int, setting: Setting) -> None:
        from implicit.cpu.als import AlternatingLeastSquares

        unobserved, regularization = _strengths(watch.log, setting, regularization_exponent=0.0)
        alpha, regularization = 1 / unobserved, regularization / unobserved  # unobserved weight 1
        watch.alpha, watch.penalty = alpha, lambda total: np.full_like(total, regularization)
        watch.started = time.process_time()
        model = AlternatingLeastSquares(
            factors, regularization, 1 + alpha, iterations=watch.epochs, use_cg=use_cg, num_threads=1
        )
        users, items = watch.log.train.shape
        model.user_factors = np.zeros((users, factors), np.float32)
        model.item_factors = _start(items, factors)
        with threadpool_limits(limits=1, user_api="blas"):
            model.fit(
                sparse.csr_matrix(watch.log.train),
                show_progress=False,
                callback=lambda *_: watch(model.item_factors),
            )

    return train


def irspack(solver: str) -> Callable[[Watch, int, Setting], None]:
    def train(watch: Watch, factors: int, setting: Setting) -> None:
        from irspack.recommenders.ials import IALSTrainer, str_to_loss_type, str_to_solver_type

        unobserved, regularization = _strengths(watch.log, setting)
        scaled = regularization / (1 + unobserved)  # the target of its loss is 1 / (1 + alpha0)
        watch.unobserved, watch.penalty = unobserved, lambda total: scaled * total
        watch.started = time.process_time()
        trainer = IALSTrainer(
            sparse.csr_matrix(watch.log.train),
            n_components=factors,
            alpha0=unobserved,
            reg=scaled,
            nu=1.0,
            init_std=1.0,
            solver_type=str_to_solver_type(solver),
            max_cg_steps=3,
            ialspp_subspace_dimension=64,
            loss_type=str_to_loss_type("IALSPP"),
            random_seed=0,
            n_threads=1,
            prediction_time_max_cg_steps=5,
            prediction_time_ialspp_iteration=7,
        )
        while True:
            trainer.run_epoch()
            watch(trainer.core_trainer.item)

    return train


def _start(items: int, factors: int) -> Floats:
    drawn = np.random.default_rng(0).standard_normal((items, factors), dtype=np.float32)
    return drawn / np.float32(factors**0.5)


def _strengths(log: Log, setting: Setting, **loss: float) -> tuple[float, float]:
    """Return the weight of unobserved pairs and the penalty that scale-free settings are on a log."""
    ratio, shrinkage = setting
    config = als.ALSConfig(factors=16, iterations=2, unobserved_ratio=ratio, shrinkage=shrinkage, **loss)
    model = als.ALS(config).fit(Dataset(log.train), TrainingOptions(device="cpu", threads=1))
    return model._strengths


TRAININGS: dict[str, Callable[[Watch, int, Setting], None]] = {
    "nightshelf": nightshelf,
    "implicit CG": implicit(use_cg=True),
    "irspack CG": irspack("CG"),
    "irspack iALS++": irspack("IALSPP"),
    "nightshelf, exact": partial(nightshelf, steps=0),
    "implicit Cholesky": implicit(use_cg=False),
    "irspack Cholesky": irspack("CHOLESKY"),
}


def run(name: str, watch: Watch, factors: int, setting: Setting) -> list[tuple[float, float]]:
    """Return the CPU seconds and NDCG@10 after every epoch."""
    with contextlib.suppress(StopIteration):
        TRAININGS[name](watch, factors, setting)
    return watch.curve


def choose(name: str, log: Log, factors: int) -> Setting:
    """Return the setting with the best NDCG after five epochs."""
    values = {setting: run(name, Watch(log, np.inf, 5), factors, setting)[-1][1] for setting in SETTINGS}
    print(f"{name}:", ", ".join(f"{setting} {value:.4f}" for setting, value in values.items()), flush=True)
    return max(values, key=lambda setting: values[setting])


def compare(log: Log, factors: int, chosen: dict[str, Setting], arguments: argparse.Namespace) -> None:
    """Print the table of one log and number of factors."""
    print(f"\n{factors} factors: CPU seconds until 99 % of the best NDCG@10 of all, and of its own")
    curves = {}
    for name in arguments.trainings:
        setting = chosen["implicit" if name.startswith("implicit") else "nightshelf"]
        curves[name] = run(name, Watch(log, arguments.limit, arguments.epochs), factors, setting)
        print(f"  {name}:", " ".join(f"{s:.1f}s {v:.4f}" for s, v in curves[name]), flush=True)
    best = max(value for curve in curves.values() for _, value in curve)
    print("| training | CPU s an epoch | best NDCG@10 | CPU s to 99 % of all | to 99 % of its own |")
    print("| --- | --- | --- | --- | --- |")
    for name, curve in curves.items():
        own = max(value for _, value in curve)
        until = [next((f"{s:.1f}" for s, v in curve if v >= 0.99 * b), "-") for b in (best, own)]
        print(
            f"| {name} | {curve[-1][0] / len(curve):.2f} | {own:.4f} | {until[0]} | {until[1]} |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("NIGHTSHELF_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(data))
    parser.add_argument("--logs", nargs="+", default=["movielens-1m", "large"])
    parser.add_argument("--factors", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--limit", type=float, default=600.0, help="CPU seconds of a training")
    parser.add_argument("--tuned-at", type=int, default=128, help="factors with which to choose settings")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--trainings", nargs="+", default=list(TRAININGS))
    arguments = parser.parse_args()
    if importlib.util.find_spec("irspack") is None:
        arguments.trainings = [name for name in arguments.trainings if not name.startswith("irspack")]
    for name in arguments.logs:
        log = read_log(name, arguments.data)
        print(f"\n{name}: {log.train.shape[0]} x {log.train.shape[1]}, {log.train.nnz} pairs to train on")
        chosen = {
            "nightshelf": choose("nightshelf", log, arguments.tuned_at),
            "implicit": choose("implicit CG", log, arguments.tuned_at),
        }
        for factors in arguments.factors:
            compare(log, factors, chosen, arguments)


if __name__ == "__main__":
    main()
