"""Random: every user gets items in an order of chance, the floor under every other model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import TrainingOptions

Words = npt.NDArray[np.uint64]


class RandomOrderConfig(ModelConfig):
    """Configuration of random: it has none."""


class RandomOrder(Model[RandomOrderConfig]):
    """An item's score is a hash of the seed, the user's history and the item, even in [0, 1).

    The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over the sum of the keys of the
    history's items, so that a list depends neither on the batch nor on the threads. Two users with the same
    history get the same list.
    """

    name = "random"
    Config = RandomOrderConfig

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        numbers = np.arange(dataset.n_items, dtype=np.uint64) + (np.uint64(options.seed) << np.uint64(32))
        self._keys = _mixed(numbers)

    def _scores(self, histories: Histories) -> npt.NDArray[np.float32]:
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(self._keys[histories.matrix.indices])))
        users = _mixed(np.diff(sums[histories.matrix.indptr]))  # of each user's items, modulo 2^64
        words = _mixed(users[:, None] + self._keys)  # (n_users, n_items)
        return (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"keys": self._keys}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._keys = arrays["keys"]
        if self._keys.shape != (self.n_items,) or self._keys.dtype != np.uint64:
            raise ModelError(
                f"expected keys uint64 ({self.n_items},), got {self._keys.dtype} {self._keys.shape}"
            )


def _mixed(words: Words) -> Words:
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
