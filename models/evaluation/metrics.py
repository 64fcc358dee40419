"""Metrics of ranked lists with binary relevance: one value per user.

``match_lists`` reads the lists once and keeps, for each cut-off k, the parts of all metrics. A
metric is a function of these parts and of k. It returns float64 (n_users,), with NaN for users
without a relevant item, who cannot be measured. In the formulas, rel_r = 1 if the item at rank r
(from 1) is relevant, and n is the user's number of relevant items. A padded rank is not relevant
but still counts as a rank. All items are ranked and nothing is sampled; see
``models.evaluation.sampled`` for protocols with given negatives.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.options import workers

Values = npt.NDArray[np.float64]
BLOCK_USERS = 32_768  # users per task


@dataclass(frozen=True, eq=False)
class Matches:
    """Lists matched with relevant items: the parts of every metric at every cut-off.

    ``ks`` ascending, distinct; ``relevant`` int64 (n_users,): n; ``hits`` int32 (n_ks, n_users):
    sum of rel_r; ``gains`` float64 (n_ks, n_users): sum of rel_r / log2(r + 1); ``precisions``
    float64 (n_ks, n_users): sum of rel_r x precision@r, all over r <= k; ``first`` int32
    (n_users,): the rank of the first relevant item, 0 for none. Memory: n_users x (20 bytes x
    cut-offs + 12).
    """

    ks: tuple[int, ...]
    relevant: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int32]
    gains: Values
    precisions: Values
    first: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.relevant)

    def row(self, k: int) -> int:
        """Return the row of cut-off ``k``; ModelError if it was not matched."""
        if k not in self.ks:
            raise ModelError(f"expected one of the matched cut-offs {self.ks}, got {k}")
        return self.ks.index(k)

    def values(self, names: Collection[str] | None = None) -> dict[tuple[str, int], Values]:
        """Return all metrics (or those named) at every k, each float64 (n_users,)."""
        metrics = METRICS if names is None else {name: METRICS[name] for name in names}
        return {(name, k): metric(self, k) for k in self.ks for name, metric in metrics.items()}


def match_lists(
    items: npt.NDArray[np.int32], relevant: sparse.csr_array, ks: Collection[int], *, threads: int = 0
) -> Matches:
    """Match all recommended items with the relevant ones, once for all metrics and cut-offs.

    ``items`` int32 (n_users, N), distinct in a row, padded with -1; ``relevant`` csr (n_users,
    n_items): all stored entries are relevant; ``ks`` from 1 to N. The result is exact and the same
    for any number of threads (0: the number of `models.options.workers`).
    """
    cuts = _checked_cuts(ks, _checked_lists(items, relevant))
    counts = np.diff(relevant.indptr).astype(np.int64)
    n_users, shape = len(items), (len(cuts), len(items))
    matches = Matches(
        cuts,
        counts,
        np.zeros(shape, np.int32),
        np.zeros(shape),
        np.zeros(shape),
        np.zeros(n_users, np.int32),
    )
    starts = range(0, n_users, BLOCK_USERS)
    with ThreadPoolExecutor(max(1, min(workers(threads), len(starts)))) as pool:
        list(pool.map(lambda start: _match_block(items, relevant, matches, start), starts))
    return matches


def _match_block(
    items: npt.NDArray[np.int32], relevant: sparse.csr_array, matches: Matches, start: int
) -> None:
    from models.evaluation.metrics_kernel import match_rows

    stop = min(start + BLOCK_USERS, len(items))
    low, high = relevant.indptr[[start, stop]]
    row = match_rows(
        np.require(items[start:stop], np.int32, ["C", "W"]),
        relevant.indptr[start : stop + 1].astype(np.int64) - low,
        relevant.indices[low:high].astype(np.int32),
        np.array(matches.ks, dtype=np.int64),
        _discounts(items.shape[1]),
        np.zeros(relevant.shape[1], dtype=np.int32),
        matches.hits[:, start:stop],
        matches.gains[:, start:stop],
        matches.precisions[:, start:stop],
        matches.first[start:stop],
    )
    if row >= 0:
        raise ModelError(
            f"expected distinct items in a list, got a repeated item for the user in row {start + row}"
        )


def ndcg(matches: Matches, k: int) -> Values:
    """DCG@k / ideal DCG@k, where DCG@k = sum of rel_r / log2(r + 1) over r <= k.

    Järvelin and Kekäläinen 2002 with binary gains; the ideal list has min(n, k) hits, as in Liang
    et al. 2018, sec. 4.2.
    """
    ideal = np.concatenate(([0.0], np.cumsum(_discounts(k))))[np.minimum(matches.relevant, k)]
    return _ratio(matches.gains[matches.row(k)], ideal)


def recall(matches: Matches, k: int) -> Values:
    """Hits in the first k / n: the textbook recall, which stays below 1 for n > k."""
    return _ratio(matches.hits[matches.row(k)], matches.relevant)


def recall_min(matches: Matches, k: int) -> Values:
    """Hits in the first k / min(k, n): the Recall@k of Liang et al. 2018 (Mult-VAE), sec. 4.2."""
    return _ratio(matches.hits[matches.row(k)], np.minimum(matches.relevant, k))


def precision(matches: Matches, k: int) -> Values:
    """Hits in the first k / k, also for shorter lists."""
    return _measured(matches, matches.hits[matches.row(k)] / k)


def hit_rate(matches: Matches, k: int) -> Values:
    """1 if any of the first k is relevant, else 0."""
    return _measured(matches, (matches.hits[matches.row(k)] > 0).astype(np.float64))


def mrr(matches: Matches, k: int) -> Values:
    """1 / rank of the first relevant item, 0 without any in the first k (Voorhees 1999)."""
    has_hit = matches.hits[matches.row(k)] > 0
    return _measured(matches, np.divide(1.0, matches.first, out=np.zeros(len(matches)), where=has_hit))


def average_precision(matches: Matches, k: int) -> Values:
    """Sum of rel_r * precision@r over r <= k, / min(n, k); its mean over the users is MAP@k.

    Average precision of Buckley and Voorhees 2000, cut at k. With min(n, k), a perfect list has 1;
    other definitions divide by n or by k.
    """
    return _ratio(matches.precisions[matches.row(k)], np.minimum(matches.relevant, k))


METRICS: Mapping[str, Callable[[Matches, int], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "recall_min": recall_min,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": average_precision,
}


def _checked_lists(items: npt.NDArray[np.int32], relevant: sparse.csr_array) -> int:
    n_users, n_items = relevant.shape
    if items.ndim != 2 or len(items) != n_users:
        raise ModelError(f"expected the lists of {n_users} users, got {items.shape}")
    if items.size and (items.min() < -1 or items.max() >= n_items):
        raise ModelError(f"expected items from -1 to {n_items - 1}, got {items.min()}..{items.max()}")
    if not relevant.has_canonical_format:
        raise ModelError("expected relevant with sorted, distinct columns in each row")
    return int(items.shape[1])


def _checked_cuts(ks: Collection[int], longest: int) -> tuple[int, ...]:
    cuts = tuple(sorted({int(k) for k in ks}))
    if not cuts or cuts[0] < 1 or cuts[-1] > longest:
        raise ModelError(f"expected k from 1 to the {longest} ranks of the lists, got {list(ks)}")
    return cuts


def _discounts(n: int) -> Values:
    return 1 / np.log2(np.arange(2, n + 2))


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Values:
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _measured(matches: Matches, values: Values) -> Values:
    return np.where(matches.relevant > 0, values, np.nan)
