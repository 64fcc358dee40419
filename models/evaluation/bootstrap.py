"""Confidence intervals and comparisons by resampling users (Efron and Tibshirani 1993).

A metric is a mean over users, so a resample is a set of multinomial weights: how often each user was drawn.
The weights of a resample are drawn once for all metrics, users are read in order, and nothing but the
resampled means is kept: memory is resamples x metrics, and the cost of a resample is a draw and at most one
pass over the values per user (``benchmarks/metrics.py`` measures it). Every resample has its own random
stream, from the seed and its number, so that a figure depends neither on the threads nor on which other
metrics are computed beside it.
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
CHUNK = 64  # resamples a thread does at a time


@dataclass(frozen=True)
class Interval:
    """A mean over ``users`` and its interval; the ends are None for fewer than two users."""

    value: float
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True)
class Comparison:
    """The mean of one minus the other over the ``users`` measured in both, its interval and p.

    ``p``: two-sided, of the hypothesis that the mean difference is 0; 1 for fewer than two users.
    """

    difference: float
    low: float | None
    high: float | None
    p: float
    users: int


@dataclass(frozen=True)
class Bootstrap:
    """How to resample: how often, from which seed, how sure, by which method, on how many threads (0: all).

    ``percentile``: the quantiles of the resampled means. ``bca``: bias-corrected and accelerated (Efron
    1987), closer to its promise for skewed values of few users; the acceleration is the closed form of the
    jackknife of a mean.
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

    def intervals(self, values: Mapping[Key, Values], weights: Values | None = None) -> dict[Key, Interval]:
        """Return the mean of each metric over the users and its interval.

        ``values`` float64 (n_users,) each, NaN for users who are not measured; ``weights`` (n_users,) > 0
        makes it a weighted mean, such as the ratings of a user for RMSE squared. A metric that measures
        nobody is left out.
        """
        found: dict[Key, Interval] = {}
        for keys, matrix, share in _groups(values, weights):
            means, low, high, _ = self._figures(matrix, share)
            for at, key in enumerate(keys):
                found[key] = Interval(means[at], low[at], high[at], len(matrix))
        return {key: found[key] for key in values if key in found}

    def compare(self, one: Mapping[Key, Values], other: Mapping[Key, Values]) -> dict[Key, Comparison]:
        """Return, for each metric that both have, one minus the other, paired by user.

        The same users in the same order on both sides. p is the share of resamples in which the mean, moved
        to where the hypothesis has it, is at least as far from 0 as the one observed, the observed counted
        among them (Efron and Tibshirani 1993, ch. 16; Smucker et al. 2007 compare such tests).
        """
        differences = {}
        for key in one:
            if key in other:
                if one[key].shape != other[key].shape:
                    raise ModelError(
                        f"expected values of the same users, got {one[key].shape}, {other[key].shape}"
                    )
                differences[key] = one[key] - other[key]
        found: dict[Key, Comparison] = {}
        for keys, matrix, _ in _groups(differences, None):
            means, low, high, p = self._figures(matrix, None)
            for at, key in enumerate(keys):
                found[key] = Comparison(means[at], low[at], high[at], p[at], len(matrix))
        return {key: found[key] for key in differences if key in found}

    def _figures(
        self, matrix: Values, weights: Values | None
    ) -> tuple[list[float], list[float | None], list[float | None], list[float]]:
        """Return the mean, the ends of the interval and p of each column."""
        means, resampled = self._resampled(matrix, weights)
        if len(matrix) < 2:
            nothing: list[float | None] = [None] * len(means)
            return means.tolist(), nothing, nothing, [1.0] * len(means)
        low, high = self._ends(matrix, weights, means, resampled)
        beyond = (np.abs(resampled - means) >= np.abs(means)).sum(axis=0)
        p = (1 + beyond) / (1 + self.resamples)
        return means.tolist(), low.tolist(), high.tolist(), p.tolist()

    def _resampled(self, matrix: Values, weights: Values | None) -> tuple[Values, Values]:
        """Return the means (n_metrics,) and those of every resample (resamples, n_metrics)."""
        from models.evaluation.bootstrap_kernel import resample_sums

        columns = matrix if weights is None else np.column_stack((matrix * weights[:, None], weights))
        columns = np.require(columns, np.float64, ["C", "W"])
        sums = np.zeros((self.resamples, columns.shape[1]))
        starts = range(0, self.resamples, CHUNK)
        with ThreadPoolExecutor(min(workers(self.threads), len(starts))) as pool:
            list(
                pool.map(
                    lambda at: resample_sums(columns, np.uint64(self.seed), at, sums[at : at + CHUNK]), starts
                )
            )
        total = columns.sum(axis=0)
        if weights is None:
            return total / len(matrix), sums / len(matrix)
        return total[:-1] / total[-1], sums[:, :-1] / sums[:, -1:]

    def _ends(
        self, matrix: Values, weights: Values | None, means: Values, resampled: Values
    ) -> tuple[Values, Values]:
        """Return the lower and the upper ends, (n_metrics,) each."""
        tail = (1 - self.confidence) / 2
        if self.method == "percentile":
            low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
            return low, high
        below = (resampled < means).mean(axis=0) + (resampled == means).mean(axis=0) / 2
        bias = ndtri(np.clip(below, 1 / (2 * self.resamples), 1 - 1 / (2 * self.resamples)))
        share = np.full(len(matrix), 1 / len(matrix)) if weights is None else weights / weights.sum()
        influence = share[:, None] / (1 - share[:, None]) * (matrix - means)  # mean without - mean, negated
        influence -= influence.mean(axis=0)
        spread = np.square(influence).sum(axis=0) ** 1.5
        skew = np.divide((influence**3).sum(axis=0), 6 * spread, out=np.zeros(len(means)), where=spread > 0)
        ends = []
        for z in (ndtri(tail), ndtri(1 - tail)):
            place = ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
            ends.append(np.array([np.quantile(resampled[:, at], place[at]) for at in range(len(means))]))
        return ends[0], ends[1]


def _groups(
    values: Mapping[Key, Values], weights: Values | None
) -> list[tuple[list[Key], Values, Values | None]]:
    """Return the metrics that measure the same users, with their values (users, metrics) and the weights."""
    together: dict[bytes, list[Key]] = {}
    for key, column in values.items():
        if column.ndim != 1 or (weights is not None and weights.shape != column.shape):
            raise ModelError(f"expected one value (and weight) a user, got {column.shape}")
        together.setdefault(np.isnan(column).tobytes(), []).append(key)
    groups: list[tuple[list[Key], Values, Values | None]] = []
    for keys in together.values():
        measured = ~np.isnan(values[keys[0]])
        if measured.any():
            matrix = np.column_stack([values[key][measured] for key in keys])
            if weights is not None and not (weights[measured] > 0).all():
                raise ModelError("expected weights > 0 of the measured users, got others")
            groups.append((keys, matrix, None if weights is None else weights[measured]))
    return groups
