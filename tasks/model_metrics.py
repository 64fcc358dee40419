"""The station `model_metrics`: every model measured on the last events, which it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration import Configuration
from tasks.dataset_arrays import load_histories, load_seen, micros
from tasks.dataset_files import read
from tasks.errors import InputError

Longs = npt.NDArray[np.int64]
SPLIT = "temporal"
LATEST = 2**63 - 1  # microseconds: later than every event


@dataclass(frozen=True)
class Holdout:
    """The measured users and what they did after the cut.

    `users` int64: indices in the holdout's dataset; `relevant` csr (n_users, n_items) of its items. What
    could not be measured is counted: users and items without a past, and pairs that were known.
    """

    users: npt.NDArray[np.int64]
    relevant: Any
    cold_users: int
    cold_items: int
    repeats: int

    @property
    def counts(self) -> dict[str, int]:
        """What became of the events after the cut, by name."""
        return {
            "warm_users": len(self.users),
            "test_pairs": int(self.relevant.nnz),
            "cold_users": self.cold_users,
            "cold_items": self.cold_items,
            "repeated_pairs": self.repeats,
        }


def cut_of(dataset: Path, share: float) -> int:
    """Return the moment, in microseconds, from which about the last `share` of the events happened.

    Those of bots do not count: they would push the moment to where they are.
    """
    ordered = np.sort(micros(_of_people(dataset)["timestamp"]))
    cut = int(ordered[-max(1, round(share * len(ordered)))]) if len(ordered) else 0
    if not len(ordered) or cut == ordered[0]:
        raise InputError(
            f"evaluation: expected events at different moments to hold out the last {share:.0%}, got "
            f"{len(ordered)} events, none earlier; set evaluation.enabled = false to train without measuring"
        )
    return cut


def make_holdout(
    configuration: Configuration, full: Path, past: Path, cut: int, stop: int | None = None
) -> Holdout:
    """Return what happened from `cut` on, in the indices of the dataset `past` that was built up to it.

    Until before `stop`, in microseconds, if that is given. Bots are not measured.
    """
    events = _of_people(full)
    times = micros(events["timestamp"])
    after = events.filter(pa.array((times >= cut) & (times < (LATEST if stop is None else stop))))
    users = translated(full, past, "user")[after["user_index"].to_numpy()]
    items = translated(full, past, "item")[after["item_index"].to_numpy()]
    seen = load_seen(past)
    pairs = _pairs(users, items, seen.shape)
    repeats = pairs.multiply(seen).tocsr()
    wanted = pairs if configuration.top_n.repeats else (pairs - repeats).tocsr()
    wanted.eliminate_zeros()
    measured = np.flatnonzero((np.diff(wanted.indptr) > 0) & ~load_histories(past).empty)
    limit = configuration.evaluation.max_users
    if len(measured) > limit:
        chosen = np.random.default_rng(configuration.train.seed).choice(measured, limit, replace=False)
        measured = np.sort(chosen)
    return Holdout(
        users=measured,
        relevant=wanted[measured],
        cold_users=len(np.unique(after["user_index"].to_numpy()[users < 0])),
        cold_items=len(np.unique(after["item_index"].to_numpy()[items < 0])),
        repeats=int(repeats.nnz),
    )


def _of_people(dataset: Path) -> pa.Table:
    """Return the events of a dataset without those of bots: user_index, item_index, timestamp."""
    events = read(dataset, "sequences", ["user_index", "item_index", "timestamp"])
    bot = read(dataset, "users", ["bot"])["bot"].combine_chunks()
    return events.filter(pc.invert(bot.take(events["user_index"])))


def _pairs(users: Longs, items: Longs, shape: tuple[int, int]) -> Any:
    """Return the pairs whose user and item are known (not -1), csr float32 of ones."""
    from scipy import sparse

    known = (users >= 0) & (items >= 0)
    ones = np.ones(np.count_nonzero(known), dtype=np.float32)
    pairs = sparse.coo_array((ones, (users[known], items[known])), shape=shape).tocsr()
    pairs.data[:] = 1
    return pairs


def measure(
    configuration: Configuration, past: Path, artefact: Path, holdout: Holdout
) -> list[dict[str, Any]]:
    """Return rows of model_metrics for one model trained on the dataset `past`.

    The interval is that of 2,000 resamples of the users, the same for every model of the night (its seed).
    """
    from models.artefact import load
    from models.evaluation.beyond_accuracy import coverage
    from models.evaluation.bootstrap import Bootstrap
    from models.evaluation.metrics import judge

    if not len(holdout.users):
        return []
    model = load(artefact)
    allowed = read(past, "items", ["available"])["available"].to_numpy()
    ks = sorted({min(k, len(allowed)) for k in configuration.evaluation.ks})
    top = model.recommend(
        load_histories(past).rows(holdout.users),
        ks[-1],
        exclude=None if configuration.top_n.repeats else load_seen(past)[holdout.users],
        allowed=allowed,
        threads=configuration.engine.threads,
    )
    judged = judge(top.items, holdout.relevant, ks, threads=configuration.engine.threads)
    boot = Bootstrap(seed=configuration.train.seed, threads=configuration.engine.threads)
    common = {"model": model.name, "split": SPLIT, "users": len(holdout.users)}
    rows = [
        {**common, "metric": name, "k": k, "value": found.value, "ci_low": found.low, "ci_high": found.high}
        for (name, k), found in boot.intervals(judged.values()).items()
    ]
    for k in ks:
        figures = {"value": coverage(top.items, k, allowed), "ci_low": None, "ci_high": None}
        rows.append({**common, "metric": "coverage", "k": k, **figures})
    return rows


def translated(full: Path, past: Path, kind: str) -> Longs:
    """Return the index in `past` of each user (item) of `full`, -1 for those that it does not know."""
    old = read(past, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"]
    new = read(full, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"]
    places = pc.fill_null(pc.index_in(new, old.combine_chunks()), -1)
    return np.asarray(places.to_numpy(), dtype=np.int64)
