"""Small data sets with known answers, shared by the tests of the models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Sequences


def matrix(dense: npt.ArrayLike) -> sparse.csr_array:
    """Return dense weights as csr float32."""
    return sparse.csr_array(np.asarray(dense, dtype=np.float32))


def sequences_of(weights: sparse.csr_array, rng: np.random.Generator) -> Sequences:
    """Return every entry as an event, shuffled within each user, one second apart."""
    items = weights.indices.astype(np.int32)
    for start, stop in zip(weights.indptr[:-1], weights.indptr[1:], strict=True):
        rng.shuffle(items[start:stop])
    return Sequences(
        weights.indptr.astype(np.int64), items, np.arange(len(items), dtype=np.int64) * 1_000_000
    )


def random_world(n_users: int = 120, n_items: int = 60, seed: int = 0) -> Dataset:
    """Return noisy users of two tastes; some users are empty and the last two items untrained."""
    rng = np.random.default_rng(seed)
    taste = np.arange(n_users)[:, None] % 2 == np.arange(n_items)[None] % 2
    chosen = rng.random((n_users, n_items)) < np.where(taste, 0.25, 0.05)
    chosen[5::40] = False
    chosen[:, -2:] = False
    weights = matrix(chosen * rng.integers(1, 4, chosen.shape))
    return Dataset(weights, sequences_of(weights, rng))


def checkerboard(size: int = 50) -> Dataset:
    """Return users who have all items of their parity except one, the only correct answer.

    User u has the items i with i % 2 == u % 2, except i == u.
    """
    chosen = np.arange(size)[:, None] % 2 == np.arange(size)[None] % 2
    np.fill_diagonal(chosen, val=False)
    weights = matrix(chosen)
    return Dataset(weights, sequences_of(weights, np.random.default_rng(1)))


def rated_world(n_users: int = 120, n_items: int = 60, seed: int = 0) -> Dataset:
    """Return the same kind of users with ratings: 4 or 5 for items of their taste, else 1 or 2.

    They rate a third of all items, whatever their taste.
    """
    rng = np.random.default_rng(seed)
    taste = np.arange(n_users)[:, None] % 2 == np.arange(n_items)[None] % 2
    chosen = rng.random((n_users, n_items)) < 0.33
    chosen[5::40] = False
    chosen[:, -2:] = False
    weights = matrix(chosen * (rng.integers(1, 3, chosen.shape) + 3 * taste))
    return Dataset(weights, sequences_of(weights, rng))


def rated_checkerboard(size: int = 50) -> Dataset:
    """Return users who rate the items of their parity 5 and the others 1, and leave out a fifth.

    User u has not rated the items i with (u + i) % 10 == 0, all of their parity, and (u + i) % 10
    == 5, none of it: the former are the correct answers.
    """
    users, items = np.arange(size)[:, None], np.arange(size)[None]
    weights = matrix(np.where((users + items) % 5 == 0, 0, np.where((users + items) % 2 == 0, 5, 1)))
    return Dataset(weights, sequences_of(weights, np.random.default_rng(1)))
