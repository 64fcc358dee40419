"""Properties of lists beyond accuracy: breadth, novelty, diversity, popularity, serendipity.

Lists are int32 (n_users, N), padded with -1; k <= N. ``coverage`` and ``gini`` are one number for
all lists together. The others are float64 (n_users,) over the items in the first k, and NaN if a
list has too few, so they can be averaged and bootstrapped like accuracy. Popularity is an item's
number of users in the TRAINING data, float64 or int64 (n_items,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError, NoListsError

Values = npt.NDArray[np.float64]
Lists = npt.NDArray[np.int32]
Counts = npt.NDArray[np.integer] | npt.NDArray[np.floating]


def coverage(items: Lists, k: int, catalogue: npt.NDArray[np.bool_]) -> float:
    """Return the share of the catalogue, bool (n_items,), in the first k of at least one list.

    Catalogue coverage of Herlocker et al. 2004 and Ge et al. 2010.
    """
    covered = exposure(items, k, catalogue) > 0
    return float(covered.sum() / len(covered))


def gini(items: Lists, k: int, catalogue: npt.NDArray[np.bool_]) -> float:
    """Return how unevenly the first k expose the catalogue: 0 all items equally, 1 a single item.

    The Gini index of Shani and Gunawardana 2011: sum_j (2j - m - 1) p_(j) / (m - 1), where p_(1) <=
    ... <= p_(m) are the items' shares of all list entries. It is 0 for a catalogue of one item.
    """
    counts = np.sort(exposure(items, k, catalogue))
    m, total = len(counts), counts.sum()
    if total == 0:
        raise NoListsError("expected at least one item of the catalogue in the lists, got none")
    return float((2 * np.arange(1, m + 1) - m - 1) @ (counts / total) / max(m - 1, 1))


def exposure(items: Lists, k: int, catalogue: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return how many lists have each catalogue item in their first k, int64 (catalogue items,)."""
    if not catalogue.any():
        raise ModelError("expected a catalogue of at least one item, got none")
    first = _first(items, k)
    counts = np.bincount(first[first >= 0], minlength=len(catalogue))
    if len(counts) > len(catalogue):
        raise ModelError(f"expected items below {len(catalogue)}, got {first.max()}")
    return np.asarray(counts[catalogue], dtype=np.int64)


def novelty(items: Lists, k: int, popularity: Counts, n_users: int) -> Values:
    """Mean self-information of the first k, in bits: -log2(users of the item / n_users).

    Zhou et al. 2010. Items without users count as having one user.
    """
    share = np.clip(popularity, 1, None) / n_users
    return _mean_of(items, k, -np.log2(share))


def mean_popularity(items: Lists, k: int, popularity: Counts) -> Values:
    """Mean number of users per item in the first k (Yin et al. 2012).

    Its mean over the users is the average recommendation popularity (ARP) of Abdollahpouri et al.
    2019.
    """
    return _mean_of(items, k, np.asarray(popularity, dtype=np.float64))


def head_share(items: Lists, k: int, head: npt.NDArray[np.bool_]) -> Values:
    """Share of the first k in the head, bool (n_items,).

    1 minus the average percentage of long tail items (APLT) of Abdollahpouri et al. 2019.
    """
    return _mean_of(items, k, head.astype(np.float64))


def head_items(popularity: Counts, share: float = 0.2) -> npt.NDArray[np.bool_]:
    """Return the head, bool (n_items,): the most popular ``share`` of the items with users.

    It has at least one item; sizes are rounded to the nearest integer, ties go by item index.
    """
    if not 0 < share <= 1:
        raise ModelError(f"expected a share above 0 and up to 1, got {share}")
    size = max(1, round(share * np.count_nonzero(popularity)))
    head = np.zeros(len(popularity), dtype=np.bool_)
    head[np.argsort(-np.asarray(popularity, dtype=np.float64), kind="stable")[:size]] = True
    return head & (np.asarray(popularity) > 0)


def diversity(items: Lists, k: int, vectors: sparse.csr_array) -> Values:
    """Mean of 1 - cosine over all pairs of the first k: intra-list diversity by item vectors.

    Smyth and McClave 2001; 1 minus the mean of the similarities that Ziegler et al. 2005 sum.
    ``vectors`` csr (n_items, d), such as the users of each item. A zero vector has distance 1 from
    all others. NaN for fewer than two items.
    """
    from models.evaluation.diversity_kernel import cosine_rows

    first = _first_of(items, k, vectors.shape[0], "vectors")
    lengths = np.sqrt(np.square(vectors.astype(np.float64)).sum(axis=1))
    units = vectors.data / np.repeat(np.where(lengths > 0, lengths, 1.0), np.diff(vectors.indptr))
    result, total = np.full(len(first), np.nan), np.zeros(vectors.shape[1])
    indptr, indices = vectors.indptr.astype(np.int64), vectors.indices.astype(np.int32)
    cosine_rows(first, indptr, indices, units, total, result)
    return result


def attribute_diversity(items: Lists, k: int, attributes: sparse.csr_array) -> Values:
    """Mean Jaccard distance, 1 - |A and B| / |A or B|, over all pairs of the first k.

    Intra-list diversity by ``attributes`` csr (n_items, n_attributes), the stored entries of which
    an item has. Two items without attributes have distance 1, as nothing is known in common. NaN
    for fewer than two items.
    """
    from models.evaluation.diversity_kernel import jaccard_rows

    if not attributes.has_canonical_format:
        raise ModelError("expected attributes with sorted, distinct columns in each row")
    first = _first_of(items, k, attributes.shape[0], "attributes")
    result = np.full(len(first), np.nan)
    jaccard_rows(first, attributes.indptr.astype(np.int64), attributes.indices.astype(np.int32), result)
    return result


def serendipity(items: Lists, k: int, expected: Lists, relevant: sparse.csr_array) -> Values:
    """Share of the first k that is relevant and not in the list of a primitive model.

    After Ge, Delgado-Battenfeld and Jannach 2010: useful and unexpected. ``expected`` holds the
    lists of the primitive model (popularity) for the same users; all their ranks count as expected.
    NaN for users without a relevant item, as with accuracy.
    """
    first = _first(items, k)
    if len(expected) != len(first) or relevant.shape[0] != len(first):
        raise ModelError(
            f"expected lists and relevant items of {len(first)} users, "
            f"got {len(expected)} and {relevant.shape[0]}"
        )
    rows = np.arange(len(first))[:, None] * relevant.shape[1]
    pairs = np.repeat(np.arange(len(first)), np.diff(relevant.indptr)) * relevant.shape[1] + relevant.indices
    surprising = np.isin(rows + first, pairs) & ~np.isin(rows + first, (rows + expected)[expected >= 0])
    share = (surprising & (first >= 0)).sum(axis=1) / k
    return np.where(np.diff(relevant.indptr) > 0, share, np.nan)


def _first(items: Lists, k: int) -> Lists:
    if items.ndim != 2 or not 1 <= k <= items.shape[1]:
        raise ModelError(f"expected k from 1 to the {items.shape[-1]} ranks of the lists, got {k}")
    return items[:, :k]


def _first_of(items: Lists, k: int, n_items: int, what: str) -> Lists:
    """Return the first k, contiguous; ModelError for an unknown item."""
    first = np.require(_first(items, k), np.int32, ["C", "W"])
    if first.size and first.max() >= n_items:
        raise ModelError(f"expected {what} of {first.max() + 1} items, got {n_items}")
    return first


def _mean_of(items: Lists, k: int, figures: Values) -> Values:
    """Return the mean of the items' figures over the first k."""
    first = _first(items, k)
    if first.size and first.max() >= len(figures):
        raise ModelError(f"expected figures of {first.max() + 1} items, got {len(figures)}")
    total = np.append(figures, 0.0)[first].sum(axis=1)
    size = (first >= 0).sum(axis=1)
    result = np.full(len(first), np.nan)
    np.divide(total, size, out=result, where=size > 0)
    return result
