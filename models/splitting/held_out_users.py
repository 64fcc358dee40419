"""Held-out users: the protocol of Mult-VAE, which tests users who were not trained on.

A seeded permutation divides the users into training, validation and test. A model learns from the
training users only. It then sees part of a held-out user's items and must find the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.splitting.split import random_share

Longs = npt.NDArray[np.int64]
FEWEST = 5  # known items a user needs for some to be hidden; with fewer, all are shown


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Held-out users: the items shown to a model, and the items it must find.

    ``users`` int64 (m,): their indices, ascending; ``shown`` and ``hidden`` csr float32 (m,
    n_items): the weights of their items, without cold items; ``cold_pairs``: pairs left out because
    no training user had the item; ``short_users``: users with fewer than ``FEWEST`` items, all
    shown; ``empty_users``: users without known items.
    """

    users: Longs
    shown: sparse.csr_array
    hidden: sparse.csr_array
    cold_pairs: int
    short_users: int
    empty_users: int

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of users and pairs, by their role."""
        return {
            "users": len(self.users),
            "measured_users": int((np.diff(self.hidden.indptr) > 0).sum()),
            "shown_pairs": int(self.shown.nnz),
            "hidden_pairs": int(self.hidden.nnz),
            "cold_pairs": self.cold_pairs,
            "short_users": self.short_users,
            "empty_users": self.empty_users,
        }


@dataclass(frozen=True, eq=False)
class HeldOutUsers:
    """Training users and two groups of held-out users.

    ``train_users`` int64, ascending; ``train`` csr (n_train, n_items): their rows, with all columns
    (empty for cold items); ``cold_items``: the number of items that only held-out users had.
    """

    train_users: Longs
    train: sparse.csr_array
    validation: FoldIn
    test: FoldIn
    cold_items: int


def hold_out_users(
    matrix: sparse.csr_array, held_out: int, seed: int, hidden_share: float = 0.2
) -> HeldOutUsers:
    """Hold out ``held_out`` users each for validation and test, by a permutation of ``seed``.

    This follows the preprocessing of Liang et al. 2018 (vae_cf). Of the n items of a held-out user
    that training users have, int(hidden_share * n) random ones are hidden; none if n is below five.
    ``matrix`` csr (n_users, n_items): weights. Users without entries are in none of the three
    groups.
    """
    if not 0 < hidden_share < 1:
        raise ModelError(f"expected a hidden share between 0 and 1, got {hidden_share}")
    present = np.flatnonzero(np.diff(matrix.indptr) > 0)
    if held_out < 1 or 2 * held_out >= len(present):
        raise ModelError(
            f"expected 1 to {(len(present) - 1) // 2} users for each held-out group, got {held_out}"
        )
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(present)
    train_users = np.sort(shuffled[: -2 * held_out])
    train = matrix[train_users]
    known = np.bincount(train.indices, minlength=matrix.shape[1]) > 0
    groups = (shuffled[-2 * held_out : -held_out], shuffled[-held_out:])
    validation, test = (fold_in(matrix, np.sort(users), known, hidden_share, generator) for users in groups)
    cold = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
    return HeldOutUsers(train_users, train, validation, test, int((cold & ~known).sum()))


def fold_in(
    matrix: sparse.csr_array,
    users: Longs,
    known: npt.NDArray[np.bool_],
    hidden_share: float,
    generator: np.random.Generator,
) -> FoldIn:
    """Hide a share of each user's known items, bool (n_items,), and show the others."""
    rows = matrix[users]
    row_numbers = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
    warm = known[rows.indices]
    entries = (rows.data[warm], row_numbers[warm], rows.indices[warm])
    sizes = np.bincount(entries[1], minlength=len(users))
    hidden = random_share(entries[1], len(users), hidden_share, generator) & (sizes >= FEWEST)[entries[1]]
    return FoldIn(
        users=users,
        shown=_matrix(entries, ~hidden, rows.shape),
        hidden=_matrix(entries, hidden, rows.shape),
        cold_pairs=int((~warm).sum()),
        short_users=int(((sizes < FEWEST) & (sizes > 0)).sum()),
        empty_users=int((sizes == 0).sum()),
    )


def _matrix(
    entries: tuple[npt.NDArray[np.float32], Longs, npt.NDArray[np.integer]],
    kept: npt.NDArray[np.bool_],
    shape: tuple[int, int],
) -> sparse.csr_array:
    weights, rows, columns = (part[kept] for part in entries)
    return sparse.coo_array((weights, (rows, columns)), shape=shape).tocsr()
