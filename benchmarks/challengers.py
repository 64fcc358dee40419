"""Whether incumbents follow a change of taste, and stay where they are without one.

    python -m benchmarks.challengers [--seeds 5] [--models item_knn als] [--nights 30]

For each seed and model, 30 nights in a row on a generated log: users with niches of a catalogue,
who all get other niches in the middle (or not). Each night trains the incumbent and its challengers
on the events before its day, judges them by the day, and decides, by the functions that a night
uses (tasks.incumbents); only the SQL, the child processes and the tables are left out. Beside them
stands the fixed configuration, trained and judged alike.

The difference to it is that of what readers had: the incumbent of the night before, judged by the
day, paired by user and day. Its interval resamples users, with all their days.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models import registry
from models.dataset import Dataset, Sequences
from models.errors import ModelError
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.metrics import match_lists
from models.options import TrainingOptions
from models.splitting.split import event_matrix, split_between, to_sequences, train_sequences
from tasks.demo.events import DAY_MS
from tasks.demo.shapes import Shape, shape_events
from tasks.incumbents.contest import Measured, contest
from tasks.incumbents.document import Incumbent, Settings
from tasks.incumbents.draws import Ground

START = date(2026, 3, 2)
BEFORE = 15  # days of events before the first night
SHAPE = Shape(3_000, 600, 0, 0, niches=30)
PER_DAY = 3_000  # events
SLOTS = 4
CONFIGURED: dict[str, Settings] = {"item_knn": {}, "als": {"factors": 32, "iterations": 6}}
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Day:
    """A day of a log: what came before it, as training data, and what its users took up on it.

    ``users`` int64 (n_users,): those with a history; ``relevant`` csr (n_users, n_items).
    """

    past: Dataset
    users: npt.NDArray[np.int64]
    relevant: sparse.csr_array

    @classmethod
    def of(cls, sequences: Sequences, n_items: int, day: int) -> Day:
        """Return the day with this number."""
        split = split_between(sequences, n_items, day * DAY_MS * 1000, (day + 1) * DAY_MS * 1000)
        earlier = train_sequences(sequences, split)
        counts = event_matrix(earlier, n_items)
        counts.data[:] = 1 + np.log1p(counts.data)
        users = split.warm_users
        return cls(Dataset(counts.astype(np.float32), earlier), users, split.warm[users])

    def measure(self, model: str, settings: Settings) -> Measured | None:
        """Return the NDCG@10 of the day's users; None if the model cannot be trained."""
        trained = registry.create(model, registry.config(model, settings))
        try:
            trained.fit(self.past, TrainingOptions(device="cpu", seed=7))
        except ModelError:
            return None
        histories = self.past.histories.rows(self.users)
        lists = trained.recommend(histories, 10, exclude=histories.matrix).items
        matches = match_lists(lists, self.relevant, [10])
        return Measured(matches.values(["ndcg"])["ndcg", 10], trained.report.get("half_life_days"))


@dataclass(frozen=True)
class Told:
    """What happened in a run of nights: the changes by night, and differences to the fixed one.

    ``gains``: an array (n_users,) a night, of the ``users`` of that night.
    """

    changes: list[tuple[int, str]] = field(default_factory=list)
    gains: list[Values] = field(default_factory=list)
    users: list[npt.NDArray[np.int64]] = field(default_factory=list)
    fixed: list[float] = field(default_factory=list)


def main() -> None:
    """Print some lines per model, log and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--models", nargs="+", default=list(CONFIGURED))
    parser.add_argument("--nights", type=int, default=30)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for model in options.models:
        for changed in (True, False):
            for seed in seeds:
                began = time.process_time()
                told = nights(model, seed, options.nights, changed=changed)
                name = f"{model}, seed {seed}, taste {'changes' if changed else 'stays'}"
                print(f"{name} ({time.process_time() - began:.0f} CPU s)")
                for line in lines_of(told, options.nights // 2):
                    print(f"    {line}", flush=True)


def nights(model: str, seed: int, count: int, *, changed: bool) -> Told:
    """Run nights in a row; with a change of taste after half of them."""
    days = BEFORE + count
    shape = replace(SHAPE, days=days, events=PER_DAY * days)
    if changed:
        shape = replace(shape, change=(BEFORE + count // 2) / days)
    users, items, times = shape_events(shape, seed=seed)
    sequences, _ = to_sequences(users, items, times * 1000, shape.users)
    configured, state = CONFIGURED[model], Incumbent()
    told = Told()
    for night in range(count):
        day = Day.of(sequences, shape.items, BEFORE + night)
        as_of = START + timedelta(days=BEFORE + night)
        ground = Ground(model, configured, state.settings, None, float(BEFORE + night), seed, as_of)

        @cache
        def measured(settings: str, day: Day = day) -> Measured | None:
            return day.measure(model, {**configured, **json.loads(settings)})

        def measure(_: int, settings: Settings, measured: Any = measured) -> Measured | None:
            return measured(json.dumps(settings))  # type: ignore[no-any-return]

        fixed, outcome = measure(0, {}), contest(state, ground, SLOTS, lambda _: True, measure)
        if fixed is None:
            raise SystemExit(f"{model} cannot be trained on the log of seed {seed}")
        had = outcome.measured.values if outcome.measured else np.zeros(len(day.users))
        told.gains.append(had - fixed.values)
        told.users.append(day.users)
        told.fixed.append(float(fixed.values.mean()))
        if outcome.change is not None:
            change = outcome.change
            told.changes.append((night + 1, f"{change.after} {change.gain:+.4f} in {change.nights}"))
        state = outcome.incumbent
    return told


def lines_of(told: Told, middle: int) -> Iterator[str]:
    """Yield the lines about a run of nights."""
    after = [night - middle for night, _ in told.changes if night > middle]
    gain, fixed = _interval(told.gains[middle:], told.users[middle:]), np.mean(told.fixed[middle:])
    first = f", the first in the second half on night {after[0]} of it" if after else ""
    yield f"{len(told.changes)} changes{first}; second half, minus fixed ({fixed:.4f}): {gain}"
    for night, text in told.changes:
        yield f"night {night}: {text}"


def _interval(gains: list[Values], users: list[npt.NDArray[np.int64]]) -> str:
    """Return the mean gain over users and days with a 95 % interval, resampling users."""
    ids, which = np.unique(np.concatenate(users), return_inverse=True)
    sums = np.bincount(which, np.concatenate(gains), len(ids))
    counts = np.bincount(which, minlength=len(ids))
    mean = sums.sum() / counts.sum()
    # a ratio of sums: the mean of its linearised values has the same spread
    shifted = mean + (sums - mean * counts) / counts.mean()
    interval = Bootstrap(seed=7).intervals({"": shifted})[""]
    return f"{mean:+.4f} [{interval.low or 0:+.4f}, {interval.high or 0:+.4f}]"


if __name__ == "__main__":
    main()
