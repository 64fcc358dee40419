"""What was measured of one model: metrics of every user and of all lists together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.evaluation import beyond_accuracy as beyond
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.metrics import Values, judge


@dataclass(frozen=True)
class Figure:
    """A metric over all measured users, with the interval of its mean; None where it has none."""

    metric: str
    k: int
    value: float
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True, eq=False)
class Measured:
    """What a protocol found out about one model.

    ``users`` int64: the tested users' indices; ``values`` by (metric, k) float64 (n_users,), NaN where
    nothing can be said of a user: what comparisons and segments need; ``overall`` by (metric, k): figures of
    all lists together; ``counts``: what the split did with users, items and pairs; ``items`` int32 (n_users,
    N): the lists, and ``relevant`` csr (n_users, n_items): what was to be found, both None for a sampled
    protocol; ``history`` int64 (n_users,): how many items a user was known by; ``popularity`` int64
    (n_items,): training users of each item; ``seconds``: training and ranking; ``report``: what the training
    had to say.
    """

    users: npt.NDArray[np.int64]
    values: dict[tuple[str, int], Values]
    overall: dict[tuple[str, int], float]
    counts: dict[str, int]
    items: npt.NDArray[np.int32] | None
    relevant: sparse.csr_array | None
    history: npt.NDArray[np.int64]
    popularity: npt.NDArray[np.int64]
    seconds: float
    report: dict[str, Any] = field(default_factory=dict)

    def table(self, bootstrap: Bootstrap | None = None) -> list[Figure]:
        """Return the figures, per-user metrics first, each with its interval by resampling users."""
        found = (bootstrap or Bootstrap()).intervals(self.values)
        rows = [Figure(name, k, one.value, one.low, one.high, one.users) for (name, k), one in found.items()]
        whole = [
            Figure(name, k, value, None, None, len(self.users)) for (name, k), value in self.overall.items()
        ]
        return rows + whole


def judged(
    items: npt.NDArray[np.int32],
    relevant: sparse.csr_array,
    *,
    users: npt.NDArray[np.int64],
    history: npt.NDArray[np.int64],
    popularity: npt.NDArray[np.int64],
    trained_users: int,
    catalogue: npt.NDArray[np.bool_],
    ks: Collection[int],
    counts: dict[str, int],
    seconds: float = 0.0,
    report: dict[str, Any] | None = None,
    threads: int = 0,
) -> Measured:
    """Judge lists int32 (n_users, N), whoever made them, by all metrics at ``ks``.

    ``catalogue`` bool (n_items,): what might have been recommended. The others are described in Measured.
    """
    values = judge(items, relevant, ks, threads=threads).values()
    overall = {}
    head = beyond.head_items(popularity)
    for k in sorted(set(ks)):
        values["novelty", k] = beyond.novelty(items, k, popularity, trained_users)
        values["mean_popularity", k] = beyond.mean_popularity(items, k, popularity)
        values["head_share", k] = beyond.head_share(items, k, head)
        overall["coverage", k] = beyond.coverage(items, k, catalogue)
        overall["gini", k] = beyond.gini(items, k, catalogue)
    return Measured(
        users, values, overall, counts, items, relevant, history, popularity, seconds, report or {}
    )
