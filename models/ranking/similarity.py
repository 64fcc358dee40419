"""Similar items: by their vectors, or by common users."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.topn import TopN, top_n, top_n_factors

Allowed = npt.NDArray[np.bool_] | None
Floats = npt.NDArray[np.float32]


def unit_vectors(vectors: Floats) -> Floats:
    """Return vectors float32 (n, d) scaled to length 1; zero vectors stay zero."""
    units = np.zeros(vectors.shape, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, norms, out=units, where=norms > 0)
    return units


def similar_vectors(vectors: Floats, items: npt.NDArray[np.integer], n: int, allowed: Allowed = None) -> TopN:
    """Return for each of ``items`` the ``n`` other items with the largest cosines above 0.

    ``vectors`` float32 (n_items, d); ``allowed`` bool (n_items,): the items to return, None for
    all.
    """
    units = unit_vectors(vectors)
    itself = self_exclusions(items, len(vectors))
    return top_n_factors(units[items], units, n, exclude=itself, allowed=allowed, above=0.0)


def co_occurring(
    seen: sparse.csr_array, items: npt.NDArray[np.integer], n: int, *, allowed: Allowed = None
) -> TopN:
    """Return for each of ``items`` the ``n`` others with the largest cosines of their user sets.

    ``seen`` csr (n_users, n_items): every stored entry counts as 1. Cosines of 0 are left out. The
    scores are dense, float32 (len(items), n_items), so the caller must bound ``items``.
    """
    ones = sparse.csr_array((np.ones(seen.nnz, np.float32), seen.indices, seen.indptr), shape=seen.shape)
    users = np.sqrt(np.maximum(np.bincount(seen.indices, minlength=seen.shape[1]), 1)).astype(np.float32)
    scores = (ones[:, items].T.tocsr() @ ones).toarray()  # (len(items), n_items)
    scores /= users
    scores /= users[items][:, None]
    itself = self_exclusions(items, seen.shape[1])
    return top_n(scores, n, exclude=itself, allowed=allowed, above=0.0, overwrite=True)


def self_exclusions(items: npt.NDArray[np.integer], n_items: int) -> sparse.csr_array:
    """Return csr float32 (len(items), n_items), with a 1 at each row's item: what to exclude."""
    ones = np.ones(len(items), dtype=np.float32)
    parts = (ones, np.asarray(items, np.int32), np.arange(len(items) + 1))
    return sparse.csr_array(parts, shape=(len(items), n_items))
