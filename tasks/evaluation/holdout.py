"""The holdout of a night: the measured users, their histories, and their items after the cut."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import load_barred, load_histories, micros
from tasks.dataset.parts import read
from tasks.evaluation.kept_lists import KeptLists, read_lists, stamp_of, write_lists
from tasks.evaluation.renumbering import indices_in, renumbered, renumbered_histories
from tasks.runtime.errors import InputError
from tasks.runtime.resources import Resources

if TYPE_CHECKING:
    from models.base import Model
    from models.dataset import Histories

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
LATEST = 2**63 - 1  # microseconds, later than every event


@dataclass(frozen=True)
class Holdout:
    """The measured users, their histories, and their items after the cut, in the indices of `past`.

    `users` int64 (n_users,); `relevant` csr (n_users, n_items); `histories` of the n_users;
    `lengths` int64: the number of items in the history of every user of `past`; `seen` csr
    (n_users, n_items): seen items that may not be listed, None if all may be; `item_ids` and `allowed`
    bool (n_items,): the items that may be recommended. Cold users, cold items and repeated pairs
    are not measured, but counted.
    """

    past: Path
    users: Longs
    relevant: Any
    histories: Histories
    lengths: Longs
    seen: Any
    item_ids: pa.Array
    allowed: npt.NDArray[np.bool_]
    cold_users: int
    cold_items: int
    repeats: int

    def __len__(self) -> int:
        return len(self.users)

    def cuts(self, ks: Collection[int]) -> list[int]:
        """Return list lengths in ascending order, none longer than the catalogue."""
        return sorted({min(k, len(self.allowed)) for k in ks})

    def lists(
        self,
        model: Model[Any],
        k: int,
        resources: Resources,
        *,
        item_ids: pa.Array | None = None,
        users: Longs | None = None,
    ) -> Ints:
        """Return the lists of a model, int32 (n_users, k) in the items of `past`, padded with -1.

        `item_ids` are the items of a model that was not trained on `past`, by index. It gets
        histories in its own indices, without items it does not know, and may not list items that
        `past` lacks. `users` selects rows of the holdout.
        """
        histories, seen = self.histories, self.seen
        if users is not None:
            histories, seen = histories.rows(users), None if seen is None else seen[users]
        limits = {"block_bytes": resources.block_bytes, "threads": resources.threads}
        if item_ids is None:
            return model.recommend(histories, k, exclude=seen, allowed=self.allowed, **limits).items
        to_model, to_past = indices_in(self.item_ids, item_ids), indices_in(item_ids, self.item_ids)
        histories = renumbered_histories(histories, to_model, len(to_past))
        seen = None if seen is None else renumbered(seen, to_model, len(to_past))
        allowed = (to_past >= 0) & self.allowed[np.maximum(to_past, 0)]
        items = model.recommend(histories, k, exclude=seen, allowed=allowed, **limits).items
        return np.where(items >= 0, to_past[np.maximum(items, 0)], -1).astype(np.int32)

    def lists_of(self, artefact: Path, k: int, resources: Resources) -> Ints:
        """Return the lists of a model on disk that was trained on `past`, int32 (n_users, k).

        They are kept beside the artefact; a later call with the same or a smaller k reads them.
        """
        from models.artefact import load

        stamp = stamp_of(artefact, self._rules())
        kept = read_lists(artefact, stamp)
        lists = None if kept is None else kept.of(self.users, k)
        if lists is None:
            lists = self.lists(load(artefact), k, resources)
            if kept is None or len(self) >= len(kept.users):
                write_lists(artefact, stamp, KeptLists(self.users, lists))
        return lists

    def _rules(self) -> bytes:
        """Return what lists depend on, apart from the model and the user."""
        return self.allowed.tobytes() + (b"seen" if self.seen is None else b"unseen")

    @property
    def counts(self) -> dict[str, int]:
        """The counts of users, pairs and items after the cut, by name."""
        return {
            "warm_users": len(self.users),
            "test_pairs": int(self.relevant.nnz),
            "cold_users": self.cold_users,
            "cold_items": self.cold_items,
            "repeated_pairs": self.repeats,
        }


def cut_of(dataset: Path, share: float) -> int:
    """Return the timestamp, in microseconds, from which about the last `share` of events follow.

    Events of bots do not count, since many of them would move the cut.
    """
    ordered = np.sort(micros(events_without_bots(dataset)["timestamp"]))
    cut = int(ordered[-max(1, round(share * len(ordered)))]) if len(ordered) else 0
    if not len(ordered) or cut == ordered[0]:
        raise InputError(
            f"evaluation: expected events at different times to hold out the last {share:.0%}, got "
            f"{len(ordered)} events, none earlier; set evaluation.enabled = false to train without measuring"
        )
    return cut


def make_holdout(
    configuration: Configuration, full: Path, past: Path, cut: int, stop: int | None = None
) -> Holdout:
    """Return the holdout of events from `cut` until before `stop`, in the indices of `past`.

    `full` is the whole dataset and `past` the one built up to `cut`. Both times are in
    microseconds. Bots are not measured.
    """
    events, barred, histories = events_without_bots(full), load_barred(past), load_histories(past)
    times = micros(events["timestamp"])
    after = events.filter(pa.array((times >= cut) & (times < (LATEST if stop is None else stop))))
    users = indices_in_past(full, past, "user")[after["user_index"].to_numpy()]
    items = indices_in_past(full, past, "item")[after["item_index"].to_numpy()]
    pairs = _pairs(users, items, barred.shape)
    repeats = pairs.multiply(barred).tocsr()
    relevant = pairs if configuration.top_n.repeats else (pairs - repeats).tocsr()
    relevant.eliminate_zeros()
    measured = np.flatnonzero((np.diff(relevant.indptr) > 0) & ~histories.empty)
    limit = configuration.evaluation.max_users
    if len(measured) > limit:
        chosen = np.random.default_rng(configuration.train.seed).choice(measured, limit, replace=False)
        measured = np.sort(chosen)
    catalogue = read(past, "items", ["item_id", "available"])
    return Holdout(
        past=past,
        users=measured,
        relevant=relevant[measured],
        histories=histories.rows(measured),
        lengths=np.diff(histories.matrix.indptr).astype(np.int64),
        seen=None if configuration.top_n.repeats else barred[measured],
        item_ids=catalogue["item_id"].combine_chunks(),
        allowed=catalogue["available"].to_numpy(),
        cold_users=len(np.unique(after["user_index"].to_numpy()[users < 0])),
        cold_items=len(np.unique(after["item_index"].to_numpy()[items < 0])),
        repeats=int(repeats.nnz),
    )


def events_without_bots(dataset: Path) -> pa.Table:
    """Return a dataset's events of users who are no bots: user_index, item_index, timestamp."""
    events = read(dataset, "sequences", ["user_index", "item_index", "timestamp"])
    bot = read(dataset, "users", ["bot"])["bot"].combine_chunks()
    return events.filter(pc.invert(bot.take(events["user_index"])))


def _pairs(users: Longs, items: Longs, shape: tuple[int, int]) -> Any:
    """Return the pairs with known user and item (not -1): csr float32 of ones."""
    from scipy import sparse

    known = (users >= 0) & (items >= 0)
    ones = np.ones(np.count_nonzero(known), dtype=np.float32)
    pairs = sparse.coo_array((ones, (users[known], items[known])), shape=shape).tocsr()
    pairs.data[:] = 1
    return pairs


def indices_in_past(full: Path, past: Path, kind: str) -> Longs:
    """Return the index in `past` of each user (or item) of `full`, -1 if unknown there."""
    old, new = (
        read(folder, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"].combine_chunks() for folder in (past, full)
    )
    return indices_in(new, old)
