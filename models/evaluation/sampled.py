"""Sampled metrics: one held-out item ranked among negatives that a protocol gives.

Only where the negatives come with the data (He et al. 2017): figures depend on which negatives were drawn,
and order models otherwise than full ranking does (Krichene and Rendle 2020). Never to be compared with it.
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

    ``scores`` (n_users, 1 + m): the positive's first, then those of its m negatives. With r the rank of the
    positive: hit_rate@k = 1 when r <= k; ndcg@k = 1 / log2(r + 1) when r <= k, the ideal being 1 (He et al.
    2017, sec. 4.1). The positive is behind every negative with its score, so that a model which says the same
    of all items gets nothing.
    """
    ahead = _ahead(scores)
    found: dict[tuple[str, int], Values] = {}
    for k in ks:
        if not 1 <= k <= scores.shape[1]:
            raise ModelError(f"expected k from 1 to the {scores.shape[1]} items of a user, got {k}")
        for name, gain in GAINS.items():
            gains = np.where(np.arange(1, scores.shape[1] + 1) <= k, gain(scores.shape[1]), 0.0)
            found[name, k] = gains[ahead]
    return found


def hide_one(
    train: sparse.csr_array, negatives: int, seed: int
) -> tuple[sparse.csr_array, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hide one random item of every user, and draw ``negatives`` others that the user does not have.

    The same question as a protocol's, from its training part alone: what settings are chosen on. Returns the
    rest csr (n_users, n_items), the hidden items (n_users,) and the negatives (n_users, negatives).
    """
    lengths = np.diff(train.indptr)
    fewest = train.shape[1] - int(lengths.max(initial=0))
    if not lengths.all() or fewest < negatives:
        raise ModelError(
            f"expected an item of every user and {negatives} others, got {int((lengths == 0).sum())} users "
            f"without any and {fewest} others at least"
        )
    draw = np.random.default_rng(seed)
    places = train.indptr[:-1] + draw.integers(0, lengths)
    hidden = train.indices[places].astype(np.int64)
    everything = np.arange(train.shape[1])
    drawn = np.empty((len(lengths), negatives), dtype=np.int64)
    for user, (start, end) in enumerate(pairwise(train.indptr)):
        others = np.delete(everything, train.indices[start:end])
        drawn[user] = draw.choice(others, negatives, replace=False)
    kept = np.ones(train.nnz, dtype=np.bool_)
    kept[places] = False
    indptr = train.indptr - np.arange(len(train.indptr))  # one less of every user
    rest = sparse.csr_array((train.data[kept], train.indices[kept], indptr), shape=train.shape)
    return rest, hidden, drawn


def _hit(n: int) -> Values:
    """1 at every rank."""
    return np.ones(n)


def _ndcg(n: int) -> Values:
    """1 / log2(r + 1) at rank r."""
    return 1 / np.log2(np.arange(2, n + 2))


GAINS: Mapping[str, Callable[[int], Values]] = {"hit_rate": _hit, "ndcg": _ndcg}


def _ahead(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return how many negatives score no less than the positive, int64 (n_users,)."""
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ModelError(f"expected the scores of a positive and of negatives, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ModelError("expected finite scores, got others")
    return np.asarray((scores[:, 1:] >= scores[:, :1]).sum(axis=1))
