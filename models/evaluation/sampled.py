"""Sampled metrics: a held-out item ranked among the negatives of a protocol.

Use these only if the negatives are part of the data (He et al. 2017). The figures depend on the
drawn negatives and can order models differently from full ranking (Krichene and Rendle 2020), so
never compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError

Values = npt.NDArray[np.float64]


def sampled_values(scores: npt.NDArray[np.float32], ks: tuple[int, ...]) -> dict[tuple[str, int], Values]:
    """Return hit_rate and ndcg at each k, float64 (n_users,).

    ``scores`` (n_users, 1 + m): that of the positive first, then those of its m negatives. For a
    positive at rank r <= k, hit_rate@k = 1 and ndcg@k = 1 / log2(r + 1), as the ideal is 1 (He et
    al. 2017, sec. 4.1); for r > k, both are 0. The positive ranks behind negatives of equal score,
    so a model that scores all items alike gets 0.
    """
    ahead = _ahead(scores)
    values: dict[tuple[str, int], Values] = {}
    for k in ks:
        if not 1 <= k <= scores.shape[1]:
            raise ModelError(f"expected k from 1 to the {scores.shape[1]} items of a user, got {k}")
        for name, gain in GAINS.items():
            gains = np.where(np.arange(1, scores.shape[1] + 1) <= k, gain(scores.shape[1]), 0.0)
            values[name, k] = gains[ahead]
    return values


def hide_one_item(
    train: sparse.csr_array, negatives: int, seed: int
) -> tuple[sparse.csr_array, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hide a random item of every user, and draw ``negatives`` items that the user does not have.

    This poses the protocol's question on its training part, to choose settings. Returns the
    remaining csr (n_users, n_items), the hidden items (n_users,) and the negatives (n_users,
    negatives).
    """
    lengths = np.diff(train.indptr)
    fewest = train.shape[1] - int(lengths.max(initial=0))
    if not lengths.all() or fewest < negatives:
        raise ModelError(
            f"expected an item and {negatives} other items for every user, got "
            f"{int((lengths == 0).sum())} users without an item and as few as {fewest} other items"
        )
    draw = np.random.default_rng(seed)
    entries = train.indptr[:-1] + draw.integers(0, lengths)
    hidden = train.indices[entries].astype(np.int64)
    everything = np.arange(train.shape[1])
    drawn = np.empty((len(lengths), negatives), dtype=np.int64)
    for user, (start, end) in enumerate(pairwise(train.indptr)):
        unseen = np.delete(everything, train.indices[start:end])
        drawn[user] = draw.choice(unseen, negatives, replace=False)
    kept = np.ones(train.nnz, dtype=np.bool_)
    kept[entries] = False
    indptr = train.indptr - np.arange(len(train.indptr))  # one entry less per user
    rest = sparse.csr_array((train.data[kept], train.indices[kept], indptr), shape=train.shape)
    return rest, hidden, drawn


def _hit(n: int) -> Values:
    """Return 1 for every rank."""
    return np.ones(n)


def _ndcg(n: int) -> Values:
    """Return 1 / log2(r + 1) for every rank r."""
    return 1 / np.log2(np.arange(2, n + 2))


GAINS: Mapping[str, Callable[[int], Values]] = {"hit_rate": _hit, "ndcg": _ndcg}


def _ahead(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return how many negatives score at least as high as the positive, int64 (n_users,)."""
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ModelError(f"expected scores of a positive and of negatives, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ModelError("expected finite scores, got others")
    return np.asarray((scores[:, 1:] >= scores[:, :1]).sum(axis=1))
