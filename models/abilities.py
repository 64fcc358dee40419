"""What some models can do beside scoring: protocols that are checked when the ability is needed."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.dataset import Histories
from models.ranking.topn import TopN

FloatArray = npt.NDArray[np.float32]


@runtime_checkable
class Factorised(Protocol):
    """A model whose score is the product of a user vector and an item vector."""

    def vectors(self, histories: Histories) -> FloatArray:
        """Return user vectors float32 (n_users, d); any finite vector for an empty history."""
        ...

    def item_vectors(self) -> FloatArray:
        """Return item vectors float32 (n_items, d)."""
        ...


@runtime_checkable
class HasSimilarItems(Protocol):
    """A model that can list similar items."""

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the ``n`` items most similar to each of ``items``, without the item itself.

        ``allowed`` bool (n_items,): the items to return, None for all. Short rows are padded.
        """
        ...


@runtime_checkable
class HasReasons(Protocol):
    """A model that can name the item of a history that speaks for a recommendation."""

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return for each recommended item the item of the user's history that adds most to it.

        ``items`` int32 (n_users, n), padded with -1, of the users of ``histories``; the result has
        the same shape, with -1 where no item of the history speaks for it. Ties go to the smaller
        index; an item is no reason for itself.
        """
        ...


@runtime_checkable
class PredictsRatings(Protocol):
    """A model that predicts the rating a user would give to an item."""

    def predict(
        self, histories: Histories, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]
    ) -> FloatArray:
        """Return predictions float32 (n_pairs,), within the range of the ratings in training.

        ``users`` (n_pairs,) are rows of ``histories``, ``items`` (n_pairs,) their items. A user
        with an empty history gets the prediction for a user of whom nothing is known.
        """
        ...
