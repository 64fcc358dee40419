"""Compiled resampling of users (import it late: numba)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.ranking.compiled import compiled

Values = npt.NDArray[np.float64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


@compiled("uint64(uint64)")
def _mix(x: np.uint64) -> np.uint64:
    """Return the output of SplitMix64 for a state (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled("void(uint64, int32[::1])")
def _draw(state: np.uint64, counts: npt.NDArray[np.int32]) -> None:
    """Count how often each of n users occurs in n uniform draws with replacement.

    Lemire 2019: take the high half of the product of 32 random bits and n; reject biased draws.
    """
    counts[:] = 0
    n = np.uint64(len(counts))
    threshold = (LOW + np.uint64(1)) % n
    drawn = 0
    while drawn < len(counts):
        state += GOLDEN
        bits = _mix(state)
        for product in ((bits & LOW) * n, (bits >> HALF) * n):
            if (product & LOW) >= threshold and drawn < len(counts):
                counts[product >> HALF] += 1
                drawn += 1


@compiled("void(float64[:, ::1], uint64, int64, float64[:, ::1])")
def resample_sums(values: Values, seed: np.uint64, first: int, sums: Values) -> None:
    """Write the column sums over the drawn users, for resamples ``first``, ``first`` + 1, ...

    Each resample is seeded by its number, so it does not matter which thread computes it.
    """
    counts = np.zeros(len(values), np.int32)
    for row in range(len(sums)):
        _draw(_mix(_mix(seed + GOLDEN) + np.uint64(first + row)), counts)
        for user in range(len(values)):
            times = counts[user]
            if times > 0:
                for column in range(values.shape[1]):
                    sums[row, column] += times * values[user, column]
