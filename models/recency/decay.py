"""Weights that halve with the age of a pair's last event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError
from models.recency.half_life import DAY, entry_pairs, event_pairs

OLDEST = 40.0  # half-lives: the age that older events count as, so that no weight becomes 0


@dataclass(frozen=True)
class Decay:
    """A pair's weight counts 2^(-age / half-life) of itself; the age is that of its last event.

    ``half_life`` and ``latest``, the time at which the age is 0, are in microseconds; later events
    have the age 0. A ``half_life`` of 0 leaves all weights as they are.
    """

    half_life: int = 0
    latest: int = 0

    @classmethod
    def of(cls, dataset: Dataset, half_life: float | None) -> Decay:
        """Return the decay for a training set, whose last event has the age 0.

        Raises
        ------
        ModelError
            When there is a half-life, but the dataset has no events with times.
        """
        if half_life is None:
            return cls()
        if dataset.sequences is None or not len(dataset.sequences.timestamps):
            raise ModelError("expected sequences with timestamps, to weigh events by age, got none")
        return cls(max(1, round(half_life)), int(dataset.sequences.timestamps.max()))

    def dataset(self, dataset: Dataset) -> Dataset:
        """Return a dataset with decayed weights."""
        if not self.half_life:
            return dataset
        histories = self.histories(dataset.histories)
        return Dataset(histories.matrix, dataset.sequences, dataset.item_features)

    def histories(self, histories: Histories) -> Histories:
        """Return histories with decayed weights; pairs whose event is not known keep theirs."""
        matrix, sequences = histories.matrix, histories.sequences
        if not self.half_life or sequences is None:
            return histories
        ages = (self.latest - _last_times(matrix, sequences, self.latest)) / self.half_life
        weights = matrix.data * np.exp2(-np.clip(ages, 0, OLDEST)).astype(np.float32)
        decayed = sparse.csr_array((weights, matrix.indices, matrix.indptr), shape=matrix.shape)
        return Histories(decayed, sequences)

    def scaled_dataset(self, dataset: Dataset) -> Dataset:
        """Return a dataset with decayed weights, scaled so that their sum is as before.

        What is compared with the weights, such as a shrinkage, then keeps its strength.
        """
        if not self.half_life:
            return dataset
        matrix = self.dataset(dataset).matrix
        scale = dataset.matrix.sum(dtype=np.float64) / matrix.sum(dtype=np.float64)
        parts = ((scale * matrix.data).astype(np.float32), matrix.indices, matrix.indptr)
        matrix = sparse.csr_array(parts, shape=matrix.shape)
        return Dataset(matrix, dataset.sequences, dataset.item_features)

    @property
    def days(self) -> float | None:
        """The half-life in days; None if nothing decays."""
        return self.half_life / DAY if self.half_life else None

    def array(self) -> npt.NDArray[np.int64]:
        """Return the half-life and the latest time, int64 (2,), for an artefact."""
        return np.array([self.half_life, self.latest], dtype=np.int64)

    @classmethod
    def restored(cls, array: npt.NDArray[Any]) -> Decay:
        """Return the decay of an artefact; ModelError if it is not one."""
        if array.shape != (2,) or array.dtype != np.int64 or array[0] < 0:
            raise ModelError(f"expected a half-life and a time, int64 (2,), got {array!r:.100}")
        return cls(int(array[0]), int(array[1]))


def _last_times(matrix: sparse.csr_array, sequences: Sequences, unknown: int) -> npt.NDArray[np.int64]:
    """Return the time of the last event of each entry, int64 (nnz,); ``unknown`` without an event."""
    pairs, events = entry_pairs(matrix), event_pairs(sequences, int(matrix.shape[1]))
    entry = np.minimum(np.searchsorted(pairs, events), max(len(pairs) - 1, 0))
    kept = np.zeros(len(events), np.bool_) if not len(pairs) else pairs[entry] == events
    times = np.full(len(pairs), np.iinfo(np.int64).min)
    np.maximum.at(times, entry[kept], sequences.timestamps[kept])
    times[times == np.iinfo(np.int64).min] = unknown
    return times
