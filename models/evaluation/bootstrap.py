"""Confidence intervals and comparisons by resampling users (Efron and Tibshirani 1993).

A metric is a mean over users, so a resample is a set of multinomial weights: how often each user
was drawn. The weights of a resample are drawn once for all metrics, users are read in order, and
only the resampled means are kept. Memory is resamples x metrics; a resample costs a draw and at
most one pass over the values per user (``benchmarks/metrics.py`` measures it). Every resample has
its own random stream, seeded by the seed and its number, so a figure depends on neither the threads
nor the other metrics.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from models.errors import ModelError
from models.options import workers

Values = npt.NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
Method = Literal["percentile", "bca"]
CHUNK = 64  # resamples per task


@dataclass(frozen=True)
class Interval:
    """A mean over ``users`` and its interval, whose ends are None for fewer than two users."""

    value: float
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True)
class Comparison:
    """The mean difference over ``users`` measured on both sides, with its interval and p-value.

    ``p``: two-sided, for the hypothesis that the mean difference is 0; 1 for fewer than two users.
    """

    difference: float
    low: float | None
    high: float | None
    p: float
    users: int


@dataclass(frozen=True)
class Bootstrap:
    """How to resample: number of resamples, seed, confidence, method and threads.

    ``percentile``: the quantiles of the resampled means. ``bca``: bias-corrected and accelerated
    (Efron 1987), with better coverage for skewed values of few users; the acceleration is the
    closed form of the jackknife of a mean. ``threads`` 0 means the number of
    `models.options.workers`.
    """

    resamples: int = 2_000
    seed: int = 0
    confidence: float = 0.95
    method: Method = "percentile"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.confidence < 1 or self.seed < 0:
            raise ModelError(
                "expected resamples >= 1, a confidence between 0 and 1 and a seed >= 0, "
                f"got {self.resamples}, {self.confidence} and {self.seed}"
            )

    def intervals(self, values: Mapping[Key, Values]) -> dict[Key, Interval]:
        """Return each metric's mean over the users, with its interval.

        ``values`` float64 (n_users,) each, NaN for users who are not measured. Metrics without
        measured users are left out.
        """
        intervals: dict[Key, Interval] = {}
        for keys, matrix in _groups(values):
            means, low, high, _ = self._figures(matrix)
            for column, key in enumerate(keys):
                intervals[key] = Interval(means[column], low[column], high[column], len(matrix))
        return {key: intervals[key] for key in values if key in intervals}

    def compare(self, first: Mapping[Key, Values], second: Mapping[Key, Values]) -> dict[Key, Comparison]:
        """Return the differences ``first`` - ``second`` of their common metrics, paired by user.

        Both sides have the same users in the same order. p is the share of resamples whose mean,
        shifted to the hypothesis, is at least as far from 0 as the observed mean. The observed mean
        counts as a resample too (Efron and Tibshirani 1993, ch. 16; Smucker et al. 2007 compare
        such tests).
        """
        differences = {}
        for key in first:
            if key in second:
                if first[key].shape != second[key].shape:
                    raise ModelError(
                        f"expected values of the same users, got {first[key].shape}, {second[key].shape}"
                    )
                differences[key] = first[key] - second[key]
        comparisons: dict[Key, Comparison] = {}
        for keys, matrix in _groups(differences):
            means, low, high, p = self._figures(matrix)
            for column, key in enumerate(keys):
                comparisons[key] = Comparison(
                    means[column], low[column], high[column], p[column], len(matrix)
                )
        return {key: comparisons[key] for key in differences if key in comparisons}

    def _figures(
        self, matrix: Values
    ) -> tuple[list[float], list[float | None], list[float | None], list[float]]:
        """Return the mean, the ends of the interval and p of each column."""
        means, resampled = self._resampled(matrix)
        if len(matrix) < 2:
            nothing: list[float | None] = [None] * len(means)
            return means.tolist(), nothing, nothing, [1.0] * len(means)
        low, high = self._ends(matrix, means, resampled)
        beyond = (np.abs(resampled - means) >= np.abs(means)).sum(axis=0)
        p = (1 + beyond) / (1 + self.resamples)
        return means.tolist(), low.tolist(), high.tolist(), p.tolist()

    def _resampled(self, matrix: Values) -> tuple[Values, Values]:
        """Return the means (n_metrics,) and the resampled means (resamples, n_metrics)."""
        from models.evaluation.bootstrap_kernel import resample_sums

        columns = np.require(matrix, np.float64, ["C", "W"])
        sums = np.zeros((self.resamples, columns.shape[1]))
        starts = range(0, self.resamples, CHUNK)
        with ThreadPoolExecutor(min(workers(self.threads), len(starts))) as pool:
            list(
                pool.map(
                    lambda start: resample_sums(
                        columns, np.uint64(self.seed), start, sums[start : start + CHUNK]
                    ),
                    starts,
                )
            )
        return columns.sum(axis=0) / len(matrix), sums / len(matrix)

    def _ends(self, matrix: Values, means: Values, resampled: Values) -> tuple[Values, Values]:
        """Return the lower and upper ends, (n_metrics,) each."""
        tail = (1 - self.confidence) / 2
        if self.method == "percentile":
            low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
            return low, high
        below = (resampled < means).mean(axis=0) + (resampled == means).mean(axis=0) / 2
        bias = ndtri(np.clip(below, 1 / (2 * self.resamples), 1 - 1 / (2 * self.resamples)))
        influence = matrix - means  # (n - 1) * (mean - mean without the user)
        spread = np.square(influence).sum(axis=0) ** 1.5
        skew = np.divide((influence**3).sum(axis=0), 6 * spread, out=np.zeros(len(means)), where=spread > 0)
        ends = []
        for z in (ndtri(tail), ndtri(1 - tail)):
            levels = ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
            ends.append(np.array([np.quantile(resampled[:, k], levels[k]) for k in range(len(means))]))
        return ends[0], ends[1]


def _groups(values: Mapping[Key, Values]) -> list[tuple[list[Key], Values]]:
    """Group metrics that measure the same users, with their values (users, metrics)."""
    by_users: dict[bytes, list[Key]] = {}
    for key, column in values.items():
        if column.ndim != 1:
            raise ModelError(f"expected one value per user, got {column.shape}")
        by_users.setdefault(np.isnan(column).tobytes(), []).append(key)
    groups: list[tuple[list[Key], Values]] = []
    for keys in by_users.values():
        measured = ~np.isnan(values[keys[0]])
        if measured.any():
            groups.append((keys, np.column_stack([values[key][measured] for key in keys])))
    return groups
