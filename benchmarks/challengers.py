"""Do incumbents follow a change of taste, and stay where they are without one?

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
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

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
    """A day of a log: what came before it, as training data, and what its users took up on it."""

    past: Dataset
    users: npt.NDArray[np.int64]
    split: object

    @classmethod
    def of(cls, sequences: Sequences, n_items: int, day: int) -> Day:
        """Return the day with this number."""
        split = split_between(sequences, n_items, day * DAY_MS * 1000, (day + 1) * DAY_MS * 1000)
        earlier = train_sequences(sequences, split)
        counts = event_matrix(earlier, n_items)
        counts.data[:] = 1 + np.log1p(counts.data)
        return cls(Dataset(counts.astype(np.float32), earlier), split.warm_users, split)

    def measure(self, model: str, settings: Settings) -> Measured | None:
        """Return the NDCG@10 of the day's users; None if the model cannot be trained."""
        trained = registry.create(model, registry.config(model, settings))
        try:
            trained.fit(self.past, TrainingOptions(device="cpu", seed=7))
        except ModelError:
            return None
        histories = self.past.histories.rows(self.users)
        lists = trained.recommend(histories, 10, exclude=histories.matrix).items
        matches = match_lists(lists, self.split.warm[self.users], [10])  # type: ignore[attr-defined]
        return Measured(matches.values(["ndcg"])["ndcg", 10], trained.report.get("half_life_days"))


@dataclass(frozen=True)
class Told:
    """What happened in a run of nights: the changes by night, and differences to the fixed one.

    ``gains`` (n_nights) of arrays (n_users,), with the ``users`` they belong to.
    """

    changes: list[tuple[int, str]]
    gains: list[Values]
    users: list[npt.NDArray[np.int64]]
    fixed: list[float]
    tried: int


def main() -> None:
    """Print a line per model, seed and log, and what all seeds say together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
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
                seconds = time.process_time() - began
                for line in lines_of(told, model, seed, options.nights // 2, changed, seconds):
                    print(line, flush=True)


def nights(model: str, seed: int, count: int, *, changed: bool) -> Told:
    """Run nights in a row; with a change of taste after half of them."""
    days = BEFORE + count
    shape = replace(SHAPE, days=days, events=PER_DAY * days)
    if changed:
        shape = replace(shape, change=(BEFORE + count // 2) / days)
    users, items, times = shape_events(shape, seed=seed)
    sequences, _ = to_sequences(users, items, times * 1000, shape.users)
    configured, state = CONFIGURED[model], Incumbent()
    told = Told([], [], [], [], 0)
    for night in range(count):
        day = Day.of(sequences, shape.items, BEFORE + night)
        fixed = day.measure(model, configured)
        assert fixed is not None
        as_of = START + timedelta(days=BEFORE + night)
        ground = Ground(model, configured, state.settings, None, float(BEFORE + night), seed, as_of)

        def measure(_: int, settings: Settings, day: Day = day) -> Measured | None:
            return day.measure(model, {**configured, **settings}) if settings else fixed

        outcome = contest(state, ground, SLOTS, lambda _: True, measure)
        assert outcome.measured is not None
        told.gains.append(outcome.measured.values - fixed.values)
        told.users.append(day.users)
        told.fixed.append(float(fixed.values.mean()))
        if outcome.change is not None:
            change = outcome.change
            told.changes.append((night + 1, f"{change.after} {change.gain:+.4f} in {change.nights}"))
        state = outcome.incumbent
    return told


def lines_of(told: Told, model: str, seed: int, middle: int, changed: bool, seconds: float) -> Iterator[str]:
    """Yield the lines about a run of nights."""
    late = slice(middle, None)
    gain = _interval(told.gains[late], told.users[late])
    after = [night - middle for night, _ in told.changes if night > middle]
    first = f"first change {after[0]} nights after it" if after else "no change after it"
    name = f"{model}, seed {seed}, {'taste changes' if changed else 'taste stays'}"
    yield (
        f"{name}: {len(told.changes)} changes{', ' + first if changed else ''}; last {len(told.gains) - middle} "
        f"nights, minus fixed ({np.mean(told.fixed[late]):.4f}): {gain}; {seconds:.0f} CPU s"
    )
    for night, text in told.changes:
        yield f"    night {night}: {text}"


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
