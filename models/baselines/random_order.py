"""Random: items in a random order for each user, the lower bound for every other model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import TrainingOptions

UInt64Array = npt.NDArray[np.uint64]


class RandomOrderConfig(ModelConfig):
    """Configuration of random, which has no settings."""


class RandomOrder(Model[RandomOrderConfig]):
    """An item's score is a hash of the seed, the user's history and the item, uniform in [0, 1).

    The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over the sum of the keys of
    the items in the history. A list depends on neither the batch nor the threads, and users with
    equal histories get equal lists.
    """

    name = "random"
    Config = RandomOrderConfig

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        numbers = np.arange(dataset.n_items, dtype=np.uint64) + (np.uint64(options.seed) << np.uint64(32))
        self._keys = _mix(numbers)

    def _scores(self, histories: Histories) -> npt.NDArray[np.float32]:
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(self._keys[histories.matrix.indices])))
        users = _mix(np.diff(sums[histories.matrix.indptr]))  # per user, modulo 2^64
        hashes = _mix(users[:, None] + self._keys)  # (n_users, n_items)
        return (hashes >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"keys": self._keys}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._keys = arrays["keys"]
        if self._keys.shape != (self.n_items,) or self._keys.dtype != np.uint64:
            raise ModelError(
                f"expected keys uint64 ({self.n_items},), got {self._keys.dtype} {self._keys.shape}"
            )


def _mix(states: UInt64Array) -> UInt64Array:
    states = states + np.uint64(0x9E3779B97F4A7C15)
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))
