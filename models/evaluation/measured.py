"""Measurements of a model: metrics per user and over all lists."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.evaluation import beyond_accuracy as beyond
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.metrics import Values, match_lists
from models.ranking.topn import top_n_factors


@dataclass(frozen=True)
class Figure:
    """A metric over all measured users, with the interval of its mean (None without one)."""

    metric: str
    k: int
    value: float
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True, eq=False)
class Measured:
    """The measurements of a model by a protocol.

    ``users`` int64: indices of the tested users; ``values`` by (metric, k) float64 (n_users,), NaN
    for users who cannot be measured, for comparisons and segments; ``overall`` by (metric, k):
    figures of all lists together; ``counts``: users, items and pairs of the split. ``items`` int32
    (n_users, N): the lists; ``relevant`` csr (n_users, n_items): the items to find; both are None
    for sampled protocols. ``history`` int64 (n_users,): items in each user's history;
    ``popularity`` int64 (n_items,): training users of each item; ``seconds``: time to train and
    rank; ``report``: the training report.
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
        """Return all figures: metrics per user with bootstrap intervals, then overall figures."""
        intervals = (bootstrap or Bootstrap()).intervals(self.values)
        per_user = [
            Figure(name, k, mean.value, mean.low, mean.high, mean.users)
            for (name, k), mean in intervals.items()
        ]
        overall = [
            Figure(name, k, value, None, None, len(self.users)) for (name, k), value in self.overall.items()
        ]
        return per_user + overall


@dataclass(frozen=True, eq=False)
class Background:
    """The reference data for lists, independent of the model that made them.

    ``by_item`` csr (n_items, n_users): the training users of each item; ``catalogue`` bool
    (n_items,): the recommendable items; ``popular`` int32 (users with lists, N): the most popular
    items for each user, padded with -1; ``trained_users``: the number of users with weights.
    """

    by_item: sparse.csr_array
    catalogue: npt.NDArray[np.bool_]
    popular: npt.NDArray[np.int32]
    trained_users: int

    @classmethod
    def of(
        cls,
        training: sparse.csr_array,
        catalogue: npt.NDArray[np.bool_],
        n_users: int,
        k: int,
        exclude: sparse.csr_array | None,
    ) -> Background:
        """Return the background for lists of k items; ``training`` csr (n_users, n_items).

        ``n_users`` is the number of users with lists; ``exclude`` csr (users with lists, n_items)
        holds the items not to list.
        """
        by_item = training.T.tocsr()
        popularity = np.diff(by_item.indptr).astype(np.float32)
        user_vectors, allowed = np.ones((n_users, 1), np.float32), catalogue & (popularity > 0)
        top = top_n_factors(user_vectors, popularity[:, None], k, exclude=exclude, allowed=allowed)
        return cls(by_item, catalogue, top.items, int((np.diff(training.indptr) > 0).sum()))

    @property
    def popularity(self) -> npt.NDArray[np.int64]:
        """Number of training users of each item, int64 (n_items,)."""
        return np.asarray(np.diff(self.by_item.indptr), dtype=np.int64)


def measure_lists(
    items: npt.NDArray[np.int32],
    relevant: sparse.csr_array,
    background: Background,
    *,
    users: npt.NDArray[np.int64],
    history: npt.NDArray[np.int64],
    ks: Collection[int],
    counts: dict[str, int],
    seconds: float = 0.0,
    report: dict[str, Any] | None = None,
    threads: int = 0,
) -> Measured:
    """Measure lists int32 (n_users, N) of any origin with all metrics at ``ks``.

    The other parameters are described in Measured and Background.
    """
    values = match_lists(items, relevant, ks, threads=threads).values()
    overall, popularity = {}, background.popularity
    head = beyond.head_items(popularity)
    for k in sorted(set(ks)):
        values["novelty", k] = beyond.novelty(items, k, popularity, background.trained_users)
        values["mean_popularity", k] = beyond.mean_popularity(items, k, popularity)
        values["head_share", k] = beyond.head_share(items, k, head)
        values["serendipity", k] = beyond.serendipity(items, k, background.popular[:, :k], relevant)
        if k > 1:  # one item has no pairs
            values["diversity", k] = beyond.diversity(items, k, background.by_item)
        overall["coverage", k] = beyond.coverage(items, k, background.catalogue)
        overall["gini", k] = beyond.gini(items, k, background.catalogue)
    return Measured(
        users, values, overall, counts, items, relevant, history, popularity, seconds, report or {}
    )
