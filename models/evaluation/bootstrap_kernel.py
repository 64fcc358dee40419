"""The compiled resampling of users (import it late)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Values = npt.NDArray[np.float64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


@compiled("uint64(uint64)")
def _mixed(x: np.uint64) -> np.uint64:
    """Return the output of SplitMix64 for a state (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled("void(uint64, int32[::1])")
def _draw(state: np.uint64, counts: npt.NDArray[np.int32]) -> None:
    """Count how often each of n users is drawn in n draws with replacement, every user alike.

    Lemire 2019: the high half of a product of 32 random bits and n, refused where that would favour some.
    """
    counts[:] = 0
    n = np.uint64(len(counts))
    threshold = (LOW + np.uint64(1)) % n
    drawn = 0
    while drawn < len(counts):
        state += GOLDEN
        bits = _mixed(state)
        for product in ((bits & LOW) * n, (bits >> HALF) * n):
            if (product & LOW) >= threshold and drawn < len(counts):
                counts[product >> HALF] += 1
                drawn += 1


@compiled("void(float64[:, ::1], uint64, int64, float64[:, ::1])")
def resample_sums(values: Values, seed: np.uint64, first: int, sums: Values) -> None:
    """Fill in the sums of the columns over the users drawn in resamples ``first``, ``first`` + 1, ...

    Each resample has a stream of its own, from its number: who computes it does not matter.
    """
    counts = np.zeros(len(values), np.int32)
    for row in range(len(sums)):
        _draw(_mixed(_mixed(seed + GOLDEN) + np.uint64(first + row)), counts)
        for user in range(len(values)):
            times = counts[user]
            if times > 0:
                for column in range(values.shape[1]):
                    sums[row, column] += times * values[user, column]
