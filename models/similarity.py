"""Items alike: by their vectors, or by the users who met both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.topn import TopN, top_n, top_n_factors

Allowed = npt.NDArray[np.bool_] | None


def similar_vectors(
    vectors: npt.NDArray[np.float32], items: npt.NDArray[np.integer], n: int, allowed: Allowed = None
) -> TopN:
    """Return for each of ``items`` the ``n`` others with the largest cosine, where it is above 0.

    ``vectors`` float32 (n_items, d); ``allowed`` bool (n_items,): only those are returned, None allows all.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    itself = _itself(items, len(vectors))
    return top_n_factors(units[items], units, n, exclude=itself, allowed=allowed, above=0.0)


def co_occurring(
    seen: sparse.csr_array, items: npt.NDArray[np.integer], n: int, *, allowed: Allowed = None
) -> TopN:
    """Return for each of ``items`` the ``n`` others with the largest cosine of their sets of users, above 0.

    ``seen`` csr (n_users, n_items), whose stored entries count 1 whatever their value. The block of
    scores is dense, float32 (len(items), n_items): the caller bounds ``items``.
    """
    ones = sparse.csr_array((np.ones(seen.nnz, np.float32), seen.indices, seen.indptr), shape=seen.shape)
    users = np.sqrt(np.bincount(seen.indices, minlength=seen.shape[1])).astype(np.float32)
    together = (ones[:, items].T.tocsr() @ ones).toarray()
    scores = together / np.maximum(users, 1) / np.maximum(users[items], 1)[:, None]
    return top_n(scores.astype(np.float32), n, exclude=_itself(items, seen.shape[1]), allowed=allowed, above=0.0)


def _itself(items: npt.NDArray[np.integer], n_items: int) -> sparse.csr_array:
    ones = np.ones(len(items), dtype=np.float32)
    return sparse.csr_array((ones, np.asarray(items, np.int32), np.arange(len(items) + 1)), shape=(len(items), n_items))
