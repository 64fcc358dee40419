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
from models.ranking.topn import top_n_factors


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


@dataclass(frozen=True, eq=False)
class Background:
    """What the lists of some users are seen against, whichever model made them.

    ``by_item`` csr (n_items, n_users): the training users of each item; ``catalogue`` bool (n_items,): what
    might have been recommended; ``popular`` int32 (users with lists, N): what the most popular items would
    have been to them, padded with -1; ``trained_users``: how many users have weights.
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
        """Return the background of lists of k for ``n_users``; ``training`` csr (n_users, n_items).

        ``exclude`` csr (users with lists, n_items): what was not to be listed.
        """
        by_item = training.T.tocsr()
        popularity = np.diff(by_item.indptr).astype(np.float32)
        user_vectors, allowed = np.ones((n_users, 1), np.float32), catalogue & (popularity > 0)
        top = top_n_factors(user_vectors, popularity[:, None], k, exclude=exclude, allowed=allowed)
        return cls(by_item, catalogue, top.items, int((np.diff(training.indptr) > 0).sum()))

    @property
    def popularity(self) -> npt.NDArray[np.int64]:
        """Training users of each item, int64 (n_items,)."""
        return np.asarray(np.diff(self.by_item.indptr), dtype=np.int64)


def judged(
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
    """Judge lists int32 (n_users, N), whoever made them, by all metrics at ``ks``.

    The others are described in Measured and Background.
    """
    values = judge(items, relevant, ks, threads=threads).values()
    overall, popularity = {}, background.popularity
    head = beyond.head_items(popularity)
    for k in sorted(set(ks)):
        values["novelty", k] = beyond.novelty(items, k, popularity, background.trained_users)
        values["mean_popularity", k] = beyond.mean_popularity(items, k, popularity)
        values["head_share", k] = beyond.head_share(items, k, head)
        values["serendipity", k] = beyond.serendipity(items, k, background.popular[:, :k], relevant)
        if k > 1:  # a single item is no pair
            values["diversity", k] = beyond.diversity(items, k, background.by_item)
        overall["coverage", k] = beyond.coverage(items, k, background.catalogue)
        overall["gini", k] = beyond.gini(items, k, background.catalogue)
    return Measured(
        users, values, overall, counts, items, relevant, history, popularity, seconds, report or {}
    )
