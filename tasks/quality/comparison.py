"""Two sets of models asked about the same users and events, whatever items each was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import load_histories, load_seen
from tasks.dataset.parts import read
from tasks.evaluation.holdout import Holdout
from tasks.recommendations.serving import Serving

if TYPE_CHECKING:
    from models.dataset import Histories
    from models.evaluation.bootstrap import Comparison

Values = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Question:
    """What is asked: for the users of a holdout of the dataset `past`, the items that they met after it.

    Histories, seen items and relevant items are in the indices of `past`.
    """

    past: Path
    holdout: Holdout
    item_ids: pa.Array
    allowed: npt.NDArray[np.bool_]
    histories: Histories
    lengths: npt.NDArray[np.int64]
    seen: Any

    @classmethod
    def of(cls, past: Path, holdout: Holdout, *, repeats: bool) -> Question:
        """Load what the models are given; with `repeats` seen items may be listed again."""
        items = read(past, "items", ["item_id", "available"])
        everybody = load_histories(past)
        return cls(
            past=past,
            holdout=holdout,
            item_ids=items["item_id"].combine_chunks(),
            allowed=items["available"].to_numpy(),
            histories=everybody.rows(holdout.users),
            lengths=np.diff(everybody.matrix.indptr).astype(np.int64),
            seen=None if repeats else load_seen(past)[holdout.users],
        )

    def lists(
        self, models: Mapping[str, Path], item_ids: pa.Array, serving: Serving, k: int, threads: int = 0
    ) -> Ints:
        """Return the lists int32 (n_users, k) of served models, in the items of `past`.

        `item_ids` are those that the models were trained on, by index: a model is asked in its own indices.
        It is told nothing of items that it does not know, and those that `past` lacks it may not list.
        """
        which = serving.assigned(self.past, self.lengths)[self.holdout.users]
        found = np.full((len(which), k), -1, np.int32)
        own_of, past_of = _places(self.item_ids, item_ids), _places(item_ids, self.item_ids)
        allowed = (past_of >= 0) & self.allowed[np.maximum(past_of, 0)]
        for at, name in enumerate(serving.names):
            users = np.flatnonzero(which == at)
            if len(users):
                top = self._top(models[name], users, own_of, allowed, k, threads)
                found[users] = np.where(top >= 0, past_of[np.maximum(top, 0)], -1)
        return found

    def _top(  # noqa: PLR0917
        self,
        artefact: Path,
        users: npt.NDArray[np.int64],
        own_of: npt.NDArray[np.int64],
        allowed: npt.NDArray[np.bool_],
        k: int,
        threads: int,
    ) -> Ints:
        from models.artefact import load
        from models.dataset import Histories

        model, histories = load(artefact), self.histories.rows(users)
        matrix = _renumbered(histories.matrix, own_of, len(allowed))
        sequences = histories.sequences
        if sequences is not None:
            sequences = _renumbered_events(sequences, own_of)
        seen = None if self.seen is None else _renumbered(self.seen[users], own_of, len(allowed))
        top = model.recommend(Histories(matrix, sequences), k, exclude=seen, allowed=allowed, threads=threads)
        return np.asarray(top.items)

    def judge(self, configuration: Configuration, lists: Ints, k: int) -> Values:
        """Return the metric of the gate for each user, float64 (n_users,)."""
        from models.evaluation.metrics import judge

        metric = configuration.quality.metric
        judged = judge(lists, self.holdout.relevant, [k], threads=configuration.engine.threads)
        return judged.values([metric])[metric, k]


def compare(configuration: Configuration, one: Values, other: Values, confidence: float = 0.95) -> Comparison:
    """Return one minus the other, paired by user: 2,000 resamples, the seed of the night."""
    from models.evaluation.bootstrap import Bootstrap

    threads = configuration.engine.threads
    boot = Bootstrap(seed=configuration.train.seed, confidence=confidence, threads=threads)
    return boot.compare({"": one}, {"": other})[""]


def _places(ids: pa.Array, among: pa.Array) -> npt.NDArray[np.int64]:
    """Return where each id is among others, -1 for nowhere; ids of another type are nowhere."""
    if ids.type != among.type:
        return np.full(len(ids), -1, np.int64)
    return np.asarray(pc.fill_null(pc.index_in(ids, among), -1).to_numpy(), dtype=np.int64)


def _renumbered(matrix: Any, places: npt.NDArray[np.int64], n_items: int) -> Any:
    """Return a csr matrix with its columns elsewhere, those without a place left out."""
    from scipy import sparse

    columns = places[matrix.indices]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    kept = columns >= 0
    parts = (matrix.data[kept], (rows[kept], columns[kept]))
    return sparse.coo_array(parts, shape=(matrix.shape[0], n_items)).tocsr()


def _renumbered_events(sequences: Any, places: npt.NDArray[np.int64]) -> Any:
    """Return sequences with their items elsewhere, events of those without a place left out."""
    from models.dataset import Sequences

    items = places[sequences.items]
    kept = items >= 0
    indptr = np.concatenate(([0], np.cumsum(kept)))[sequences.indptr].astype(np.int64)
    return Sequences(indptr, items[kept].astype(np.int32), sequences.timestamps[kept])
