"""Weights that halve with the age of a pair's last event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.recency.half_life import DAY, entry_pairs, event_pairs

Longs = npt.NDArray[np.int64]
LONGEST = 2.0**62  # microseconds, 146,000 years: a longer half-life is as good as none
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
        return cls(max(1, round(min(half_life, LONGEST))), int(dataset.sequences.timestamps.max()))

    def dataset(self, dataset: Dataset, times: Longs | None = None) -> Dataset:
        """Return a dataset with decayed weights; ``times`` as in ``histories``."""
        if not self.half_life:
            return dataset
        histories = self.histories(dataset.histories, times)
        return Dataset(histories.matrix, dataset.sequences, dataset.item_features)

    def histories(self, histories: Histories, times: Longs | None = None) -> Histories:
        """Return histories with decayed weights; pairs whose event is not known keep theirs.

        ``times`` int64 (nnz,) are those of the last events, if the caller has them already.
        """
        matrix, sequences = histories.matrix, histories.sequences
        if not self.half_life or sequences is None:
            return histories
        if times is None:
            times = last_times(histories, self.latest)
        ages = (self.latest - times) / self.half_life
        weights = matrix.data * np.exp2(-np.clip(ages, 0, OLDEST)).astype(np.float32)
        decayed = sparse.csr_array((weights, matrix.indices, matrix.indptr), shape=matrix.shape)
        return Histories(decayed, sequences)

    def scaled_dataset(self, dataset: Dataset, times: Longs | None = None) -> Dataset:
        """Return a dataset with decayed weights, scaled so that their sum is as before.

        What is compared with the weights, such as a shrinkage, then keeps its strength.
        """
        if not self.half_life:
            return dataset
        matrix = self.dataset(dataset, times).matrix
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


def last_times(histories: Histories, unknown: int) -> Longs:
    """Return the time of the last event of each entry, int64 (nnz,); ``unknown`` without an event."""
    matrix, sequences = histories.matrix, histories.sequences
    pairs, times = entry_pairs(matrix), np.full(matrix.nnz, unknown)
    if sequences is not None and len(pairs):
        events = event_pairs(sequences, histories.n_items)
        entry = np.minimum(np.searchsorted(pairs, events), len(pairs) - 1)
        kept = pairs[entry] == events
        times[entry[kept]] = sequences.timestamps[kept]  # in time order: the last one stays
    return times
