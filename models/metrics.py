"""Metrics of ranked lists against the items that turned out relevant; binary relevance, one value a user.

Every function takes a ``Judged`` and a cut-off k <= N and returns float64 (n_users,): NaN for a user without
a relevant item, of whom nothing can be measured (``mean`` leaves them out). With rel_r = 1 when rank r (from
1) is relevant, and n the number of relevant items of the user. A padded rank is not relevant and still counts
as a rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """Judged lists: ``hits`` bool (n_users, N), ``relevant`` int64 (n_users,) the number n of each user."""

    hits: npt.NDArray[np.bool_]
    relevant: npt.NDArray[np.int64]

    def at(self, k: int) -> npt.NDArray[np.bool_]:
        """Return the hits of the first ``k`` ranks; ModelError when the lists are shorter."""
        if not 1 <= k <= self.hits.shape[1]:
            raise ModelError(f"expected k from 1 to the {self.hits.shape[1]} ranks of the lists, got {k}")
        return self.hits[:, :k]


def judge(items: npt.NDArray[np.int32], relevant: sparse.csr_array) -> Judged:
    """Look every recommended item up among the relevant ones.

    ``items`` int32 (n_users, N), distinct in a row, padded with -1; ``relevant`` csr (n_users, n_items),
    whose stored entries are relevant whatever their value.
    """
    n_users, n_items = relevant.shape
    if items.ndim != 2 or len(items) != n_users:
        raise ModelError(f"expected the lists of {n_users} users, got {items.shape}")
    if items.size and (items.min() < -1 or items.max() >= n_items):
        raise ModelError(f"expected items from -1 to {n_items - 1}, got {items.min()}..{items.max()}")
    ordered = np.sort(items, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ModelError("expected distinct items in a list, got one twice")
    if not relevant.has_canonical_format:
        raise ModelError("expected relevant with sorted, distinct columns in each row")
    counts = np.diff(relevant.indptr).astype(np.int64)
    keys = np.repeat(np.arange(n_users, dtype=np.int64), counts) * n_items + relevant.indices  # ascending
    wanted = np.arange(n_users, dtype=np.int64)[:, None] * n_items + items
    place = np.searchsorted(keys, wanted)
    found = np.zeros(items.shape, dtype=np.bool_)
    within = (place < len(keys)) & (items >= 0)
    found[within] = keys[place[within]] == wanted[within]
    return Judged(found, counts)


def ndcg(judged: Judged, k: int) -> Values:
    """DCG@k / ideal DCG@k, DCG@k = sum of rel_r / log2(r + 1); the ideal has min(n, k) hits.

    Järvelin and Kekäläinen 2002 with binary gains; the ideal cut at min(n, k) as in Liang et al. 2018, sec.
    4.2.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(judged.relevant, k)]
    return _ratio(judged.at(k) @ discounts, ideal)


def recall(judged: Judged, k: int) -> Values:
    """Hits in the first k / n: the textbook recall, which cannot reach 1 when n > k."""
    return _ratio(judged.at(k).sum(axis=1), judged.relevant)


def recall_min(judged: Judged, k: int) -> Values:
    """Hits in the first k / min(k, n): the Recall@k of Liang et al. 2018 (Mult-VAE), sec. 4.2."""
    return _ratio(judged.at(k).sum(axis=1), np.minimum(judged.relevant, k))


def precision(judged: Judged, k: int) -> Values:
    """Hits in the first k / k; a short list is divided by k too."""
    return _ratio(judged.at(k).sum(axis=1), np.where(judged.relevant > 0, k, 0))


def hit_rate(judged: Judged, k: int) -> Values:
    """1 when any of the first k is relevant, else 0."""
    return _measured(judged, np.where(judged.at(k).any(axis=1), 1.0, 0.0))


def mrr(judged: Judged, k: int) -> Values:
    """1 / the rank of the first relevant item, 0 when there is none in the first k."""
    hits = judged.at(k)
    return _measured(judged, np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0))


def average_precision(judged: Judged, k: int) -> Values:
    """Sum of rel_r * precision@r over r <= k, / min(n, k); its mean is MAP@k."""
    hits = judged.at(k)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _ratio((precisions * hits).sum(axis=1), np.minimum(judged.relevant, k))


METRICS: Mapping[str, Callable[[Judged, int], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "recall_min": recall_min,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": average_precision,
}


def coverage(items: npt.NDArray[np.int32], k: int, catalogue: npt.NDArray[np.bool_]) -> float:
    """Return the share of the catalogue, bool (n_items,), that is in the first k of at least one list."""
    if not 1 <= k <= items.shape[1]:
        raise ModelError(f"expected k from 1 to the {items.shape[1]} ranks of the lists, got {k}")
    if not catalogue.any():
        raise ModelError("expected a catalogue of at least one item, got none")
    shown = np.zeros(len(catalogue), dtype=np.bool_)
    first = items[:, :k]
    shown[first[first >= 0]] = True
    return float((shown & catalogue).sum() / catalogue.sum())


def mean(values: Values) -> tuple[float, int]:
    """Return the mean over the users who could be measured, and their number; nobody is an error."""
    measured = values[~np.isnan(values)]
    if not len(measured):
        raise ModelError("expected at least one user with a relevant item, got none")
    return float(measured.mean()), len(measured)


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Values:
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _measured(judged: Judged, values: Values) -> Values:
    return np.where(judged.relevant > 0, values, np.nan)
