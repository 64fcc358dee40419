"""Item factors of ratings and the users who are folded in: what is kept of a trained model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.ranking.blas import one_blas_thread
from models.ranking.csr import csr_arrays
from models.ranking.products import dense_product, in_parts

FloatArray = npt.NDArray[np.float32]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ItemSide:
    """The items of a factorisation of ratings of mean 0 and variance 1.

    ``factors`` float32 (n_items, d); ``biases`` float32 (n_items,); ``implicit`` float32 (n_items,
    d) of SVD++, or (0, d) without.
    """

    factors: FloatArray
    biases: FloatArray
    implicit: FloatArray

    @property
    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The three arrays."""
        return self.factors, self.biases, self.implicit

    def shown(self, ratings: sparse.csr_array, threads: int) -> FloatArray:
        """Return what the implicit vectors add to users, float32 (n_users, d), or (0, d) without.

        That is the sum over the user's items of their vectors, over the root of their number,
        whatever the ratings.
        """
        if not len(self.implicit):
            return self.implicit
        counts = np.diff(ratings.indptr)
        roots = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
        ones = sparse.csr_array((roots, ratings.indices, ratings.indptr), shape=ratings.shape)
        return dense_product(ones, self.implicit, threads)


@dataclass(frozen=True, eq=False)
class UserSide:
    """``factors`` float32 (n_users, d), implicit ones included, and ``biases`` float32 (n_users,)."""

    factors: FloatArray
    biases: FloatArray


def fold_in(ratings: sparse.csr_array, items: ItemSide, penalty: float, threads: int) -> UserSide:
    """Return users by ridge regression of their ratings on the items; 0 for an empty row.

    ``ratings`` csr float32 (n_users, n_items), of mean 0 and variance 1. ``penalty`` > 0 is for
    each rating of a user. A user's result depends on no other user, and not on the threads.
    """
    from models.ratings.sgd_kernel import fold_in_rows

    solved = np.zeros((ratings.shape[0], items.factors.shape[1] + 1), dtype=np.float32)
    rows, shown = csr_arrays(ratings), items.shown(ratings, threads)

    def solve(part: slice) -> None:
        fold_in_rows(part.start, part.stop, *rows, shown, items.factors, items.biases, penalty, solved)

    with one_blas_thread():
        in_parts(solve, len(solved), threads)
    factors = np.ascontiguousarray(solved[:, :-1])
    return UserSide(factors + shown if len(shown) else factors, np.ascontiguousarray(solved[:, -1]))


def predicted(users: UserSide, items: ItemSide, user_of: Longs, item_of: Longs) -> FloatArray:
    """Return the predictions float32 (n_pairs,), of mean 0 and variance 1, of some pairs."""
    from models.ratings.sgd_kernel import predict_pairs

    predictions = np.empty(len(user_of), dtype=np.float32)
    pairs = (user_of.astype(np.int64), item_of.astype(np.int64))
    predict_pairs(*pairs, users.factors, users.biases, items.factors, items.biases, predictions)
    return predictions
