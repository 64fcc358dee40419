"""The holdout of a night: who is asked, what they did before, and what they did after the cut."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import load_histories, load_seen, micros
from tasks.dataset.parts import read
from tasks.runtime.errors import InputError

Longs = npt.NDArray[np.int64]
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


def translated(full: Path, past: Path, kind: str) -> Longs:
    """Return the index in `past` of each user (item) of `full`, -1 for those that it does not know."""
    old = read(past, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"]
    new = read(full, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"]
    places = pc.fill_null(pc.index_in(new, old.combine_chunks()), -1)
    return np.asarray(places.to_numpy(), dtype=np.int64)
