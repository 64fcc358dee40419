"""What lists are like, whether or not they were right: breadth, novelty, variety, popularity, surprise.

Lists are int32 (n_users, N), padded with -1; k <= N. ``coverage`` and ``gini`` are one number for all lists
together; the others are float64 (n_users,), over the items that are in the first k, NaN where there are none
(too few), so that they can be averaged and bootstrapped like accuracy. Popularity is the number of users of
an item in the TRAINING data, float64 or int64 (n_items,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError

Values = npt.NDArray[np.float64]
Lists = npt.NDArray[np.int32]
Counts = npt.NDArray[np.integer] | npt.NDArray[np.floating]
BLOCK_VALUES = 2**24  # float64 values of item vectors that are gathered at a time: 128 MiB


def coverage(items: Lists, k: int, catalogue: npt.NDArray[np.bool_]) -> float:
    """Return the share of the catalogue, bool (n_items,), that is in the first k of at least one list.

    Catalogue coverage of Herlocker et al. 2004 and Ge et al. 2010.
    """
    shown = exposure(items, k, catalogue) > 0
    return float(shown.sum() / len(shown))


def gini(items: Lists, k: int, catalogue: npt.NDArray[np.bool_]) -> float:
    """Return how unevenly the first k show the catalogue: 0 all items alike, 1 one item only.

    sum_j (2j - m - 1) p_(j) / (m - 1), p_(1) <= ... <= p_(m) the items' shares of all places: the
    Gini index of Shani and Gunawardana 2011. Of a catalogue of one item it is 0.
    """
    counts = np.sort(exposure(items, k, catalogue))
    m, total = len(counts), counts.sum()
    if total == 0:
        raise ModelError("expected at least one item of the catalogue in the lists, got none")
    return float((2 * np.arange(1, m + 1) - m - 1) @ (counts / total) / max(m - 1, 1))


def exposure(items: Lists, k: int, catalogue: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return in how many lists' first k each item of the catalogue is, int64 (items of the catalogue,)."""
    if not catalogue.any():
        raise ModelError("expected a catalogue of at least one item, got none")
    first = _first(items, k)
    counts = np.bincount(first[first >= 0], minlength=len(catalogue))
    if len(counts) > len(catalogue):
        raise ModelError(f"expected items below {len(catalogue)}, got {first.max()}")
    return np.asarray(counts[catalogue], dtype=np.int64)


def novelty(items: Lists, k: int, popularity: Counts, n_users: int) -> Values:
    """Mean self-information of the first k, in bits: -log2(users of the item / n_users).

    Zhou et al. 2010. An item that nobody had counts as one that one user had.
    """
    share = np.clip(popularity, 1, None) / n_users
    return _mean_of(items, k, -np.log2(share))


def mean_popularity(items: Lists, k: int, popularity: Counts) -> Values:
    """Mean number of users of the first k: average recommendation popularity (Yin et al. 2012).

    Its mean over the users is the ARP of Abdollahpouri et al. 2019.
    """
    return _mean_of(items, k, np.asarray(popularity, dtype=np.float64))


def head_share(items: Lists, k: int, head: npt.NDArray[np.bool_]) -> Values:
    """Share of the first k that is in the head, bool (n_items,).

    1 minus the average percentage of long tail items (APLT) of Abdollahpouri et al. 2019.
    """
    return _mean_of(items, k, head.astype(np.float64))


def head_items(popularity: Counts, share: float = 0.2) -> npt.NDArray[np.bool_]:
    """Return the head, bool (n_items,): the most popular ``share`` of the items that anyone had.

    At least one item, rounded to the nearest number; ties by item index.
    """
    if not 0 < share <= 1:
        raise ModelError(f"expected a share above 0 and up to 1, got {share}")
    size = max(1, round(share * np.count_nonzero(popularity)))
    head = np.zeros(len(popularity), dtype=np.bool_)
    head[np.argsort(-np.asarray(popularity, dtype=np.float64), kind="stable")[:size]] = True
    return head & (np.asarray(popularity) > 0)


def diversity(items: Lists, k: int, vectors: npt.NDArray[np.floating]) -> Values:
    """Mean of 1 - cosine over all pairs of the first k: intra-list diversity by item vectors.

    Smyth and McClave 2001; 1 minus the mean of the similarities that Ziegler et al. 2005 sum. ``vectors``
    (n_items, d). A vector of zeros is at distance 1 from all. NaN for fewer than two items.
    The sum over the pairs comes from the sum of the unit vectors, |sum|^2 = m + 2 sum of cosines.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float64)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    unit = np.vstack((unit, np.zeros(unit.shape[1])))  # the last row is the padding's
    first = _first(items, k)
    result = np.full(len(first), np.nan)
    step = max(1, BLOCK_VALUES // (k * unit.shape[1] or 1))
    for start in range(0, len(first), step):
        chosen = unit[first[start : start + step]]  # (users, k, d)
        own = np.square(chosen).sum(axis=(1, 2))  # how many are not zero
        alike = (np.square(chosen.sum(axis=1)).sum(axis=1) - own) / 2
        size = (first[start : start + step] >= 0).sum(axis=1)
        pairs = size * (size - 1) / 2
        np.divide(pairs - alike, pairs, out=result[start : start + step], where=pairs > 0)
    return result


def attribute_diversity(items: Lists, k: int, attributes: sparse.csr_array) -> Values:
    """Mean Jaccard distance, 1 - |A and B| / |A or B|, over all pairs of the first k.

    Intra-list diversity by attributes: csr (n_items, n_attributes), whose stored entries an item has. Two
    items without any attribute are at distance 1: nothing is known in common. NaN for fewer than two items.
    """
    from models.evaluation.attribute_kernel import jaccard_rows

    if not attributes.has_canonical_format:
        raise ModelError("expected attributes with sorted, distinct columns in each row")
    first = np.require(_first(items, k), np.int32, ["C", "W"])
    if first.size and first.max() >= attributes.shape[0]:
        raise ModelError(f"expected attributes of {first.max() + 1} items, got {attributes.shape[0]}")
    result = np.full(len(first), np.nan)
    jaccard_rows(first, attributes.indptr.astype(np.int64), attributes.indices.astype(np.int32), result)
    return result


def serendipity(items: Lists, k: int, expected: Lists, relevant: sparse.csr_array) -> Values:
    """Items of the first k that are relevant and that a primitive model did not list, / k.

    After Ge, Delgado-Battenfeld and Jannach 2010: useful and unexpected. ``expected`` holds the
    primitive model's (here popularity's) lists for the same users, all of whose ranks count as expected. NaN
    for a user without a relevant item, as with accuracy.
    """
    first = _first(items, k)
    if len(expected) != len(first) or relevant.shape[0] != len(first):
        raise ModelError(
            f"expected lists and relevant items of {len(first)} users, "
            f"got {len(expected)} and {relevant.shape[0]}"
        )
    rows = np.arange(len(first))[:, None] * relevant.shape[1]
    wanted = np.repeat(np.arange(len(first)), np.diff(relevant.indptr)) * relevant.shape[1] + relevant.indices
    surprising = np.isin(rows + first, wanted) & ~np.isin(rows + first, (rows + expected)[expected >= 0])
    found = (surprising & (first >= 0)).sum(axis=1) / k
    return np.where(np.diff(relevant.indptr) > 0, found, np.nan)


def _first(items: Lists, k: int) -> Lists:
    if items.ndim != 2 or not 1 <= k <= items.shape[1]:
        raise ModelError(f"expected k from 1 to the {items.shape[-1]} ranks of the lists, got {k}")
    return items[:, :k]


def _mean_of(items: Lists, k: int, figures: Values) -> Values:
    """Return the mean of an item's figure over the items in the first k."""
    first = _first(items, k)
    if first.size and first.max() >= len(figures):
        raise ModelError(f"expected figures of {first.max() + 1} items, got {len(figures)}")
    total = np.append(figures, 0.0)[first].sum(axis=1)
    size = (first >= 0).sum(axis=1)
    result = np.full(len(first), np.nan)
    np.divide(total, size, out=result, where=size > 0)
    return result
