"""The input of models as arrays, validated on construction.

Items and users are numbered from 0 in the order of their ids. All classes are frozen. The arrays
are not copied, so do not modify them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError

Rows: TypeAlias = slice | npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Events in time order, user after user.

    ``indptr`` int64 (n_users + 1,); ``items`` int32 (n_events,); ``timestamps`` int64 (n_events,),
    microseconds since 1970-01-01 UTC, not decreasing within a user. User u has the events
    ``indptr[u]:indptr[u + 1]``; items can repeat.

    Raises
    ------
    ModelError
        When a type, a length or the order differs from this description.
    """

    indptr: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    timestamps: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_array("sequences.indptr", self.indptr, np.int64)
        _check_array("sequences.items", self.items, np.int32)
        _check_array("sequences.timestamps", self.timestamps, np.int64)
        events = len(self.items)
        if len(self.timestamps) != events:
            raise ModelError(f"expected {events} timestamps, one per event, got {len(self.timestamps)}")
        if not len(self.indptr) or self.indptr[0] != 0 or self.indptr[-1] != events:
            ends = self.indptr[[0, -1]].tolist() if len(self.indptr) else []
            raise ModelError(f"expected sequences.indptr from 0 to {events} events, got {ends}")
        if (self.indptr[1:] < self.indptr[:-1]).any():
            raise ModelError("expected sequences.indptr not to decrease")
        self._check_order()

    def _check_order(self) -> None:
        if len(self.items) and self.items.min() < 0:
            raise ModelError(f"expected item indices >= 0 in the sequences, got {self.items.min()}")
        backwards = np.flatnonzero(self.timestamps[1:] < self.timestamps[:-1]) + 1
        within = backwards[~np.isin(backwards, self.indptr)]
        if len(within):
            user = int(np.searchsorted(self.indptr, within[0], side="right")) - 1
            raise ModelError(
                f"expected the events of a user in time order, got event {within[0]} of user {user} earlier"
            )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of events of each user, int64 (n_users,)."""
        return np.diff(self.indptr)

    def rows(self, users: Rows) -> Sequences:
        """Return the sequences of some users (a slice or an integer array), in that order."""
        selected = np.arange(len(self))[users]
        lengths = self.lengths[selected]
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        events = np.repeat(self.indptr[selected] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return Sequences(indptr, self.items[events], self.timestamps[events])


@dataclass(frozen=True, eq=False)
class Histories:
    """Users given by their histories, which also covers users who arrived after training.

    ``matrix`` csr float32 (n_users, n_items): weights > 0, column indices sorted and distinct;
    ``sequences`` of the same users, or None for models that do not use order. A user is empty if
    the row of ``matrix`` is.

    Raises
    ------
    ModelError
        When a shape, a type or a value differs from this description.
    """

    matrix: sparse.csr_array
    sequences: Sequences | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _checked_matrix("matrix", self.matrix, positive=True))
        _check_sequences(self.sequences, *self.matrix.shape)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def n_items(self) -> int:
        """Number of items, the columns of the matrix."""
        return int(self.matrix.shape[1])

    @property
    def empty(self) -> npt.NDArray[np.bool_]:
        """Which users have no weights, bool (n_users,)."""
        return np.asarray(np.diff(self.matrix.indptr) == 0)

    def rows(self, users: Rows) -> Histories:
        """Return the histories of some users (a slice or an integer array), in that order."""
        sequences = None if self.sequences is None else self.sequences.rows(users)
        return Histories(self.matrix[users], sequences)

    def padded(self, n_users: int) -> Histories:
        """Return these histories padded with empty ones to ``n_users`` (see models.base)."""
        missing = n_users - len(self)
        if missing <= 0:
            return self
        indptr = np.pad(self.matrix.indptr, (0, missing), mode="edge")
        parts = (self.matrix.data, self.matrix.indices, indptr)
        matrix = sparse.csr_array(parts, shape=(n_users, self.n_items))
        if self.sequences is None:
            return Histories(matrix)
        ends = np.pad(self.sequences.indptr, (0, missing), mode="edge")
        return Histories(matrix, Sequences(ends, self.sequences.items, self.sequences.timestamps))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training data of a model.

    ``matrix`` csr float32 (n_users, n_items): training weights > 0, without entries that are not
    trained on; ``sequences`` of the same users; ``item_features`` csr float32 (n_items, n_features)
    or None.

    Raises
    ------
    ModelError
        When a shape, a type or a value differs from this description.
    """

    matrix: sparse.csr_array
    sequences: Sequences | None = None
    item_features: sparse.csr_array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _checked_matrix("matrix", self.matrix, positive=True))
        _check_sequences(self.sequences, self.n_users, self.n_items)
        if self.item_features is not None:
            features = _checked_matrix("item_features", self.item_features, positive=False)
            if features.shape[0] != self.n_items:
                raise ModelError(f"expected item_features of {self.n_items} items, got {features.shape[0]}")
            object.__setattr__(self, "item_features", features)

    @property
    def n_users(self) -> int:
        """Number of users, the rows of the matrix."""
        return int(self.matrix.shape[0])

    @property
    def n_items(self) -> int:
        """Number of items, the columns of the matrix."""
        return int(self.matrix.shape[1])

    @property
    def histories(self) -> Histories:
        """The histories of the training users, in their order."""
        return Histories(self.matrix, self.sequences)


def evenly_spread(indices: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return at most ``most`` of some indices, in order and evenly spread: a sample without chance."""
    count = min(most, len(indices))
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]


def _check_array(name: str, array: npt.NDArray[np.int64] | npt.NDArray[np.int32], dtype: type) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype != dtype:
        kind = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ModelError(f"expected {name} as a one-dimensional array of {np.dtype(dtype)}, got {kind}")


def _checked_matrix(name: str, matrix: sparse.csr_array, *, positive: bool) -> sparse.csr_array:
    if not sparse.issparse(matrix) or matrix.format != "csr":
        raise ModelError(f"expected {name} as a scipy csr matrix, got {type(matrix).__name__}")
    if matrix.dtype != np.float32:
        raise ModelError(f"expected {name} of float32, got {matrix.dtype}")
    if not matrix.has_canonical_format:
        raise ModelError(f"expected {name} with sorted, distinct column indices in each row")
    indices = matrix.indices
    if len(indices) and (indices.min() < 0 or indices.max() >= matrix.shape[1]):
        raise ModelError(
            f"expected columns of {name} below {matrix.shape[1]}, got {indices.min()}..{indices.max()}"
        )
    if not np.isfinite(matrix.data).all():
        raise ModelError(f"expected finite values in {name}, got {matrix.data[~np.isfinite(matrix.data)][0]}")
    if positive and matrix.nnz and matrix.data.min() <= 0:
        raise ModelError(f"expected weights > 0 in {name} (leave others out), got {matrix.data.min()}")
    return sparse.csr_array(matrix)


def _check_sequences(sequences: Sequences | None, n_users: int, n_items: int) -> None:
    if sequences is None:
        return
    if len(sequences) != n_users:
        raise ModelError(f"expected sequences of {n_users} users as in the matrix, got {len(sequences)}")
    if len(sequences.items) and sequences.items.max() >= n_items:
        raise ModelError(f"expected items below {n_items} in the sequences, got {sequences.items.max()}")
