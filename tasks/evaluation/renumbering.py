"""Histories in other item indices, such as those that a model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from models.dataset import Histories, Sequences

Longs = npt.NDArray[np.int64]


def indices_in(ids: pa.Array, among: pa.Array) -> Longs:
    """Return the index of each id in `among`, -1 for none; ids of another type have none."""
    if ids.type != among.type:
        return np.full(len(ids), -1, np.int64)
    return np.asarray(pc.fill_null(pc.index_in(ids, among), -1).to_numpy(), dtype=np.int64)


def renumbered_histories(histories: Histories, indices: Longs, n_items: int) -> Histories:
    """Return histories with item i moved to `indices[i]` of `n_items`; -1 drops it."""
    from models.dataset import Histories

    sequences = histories.sequences
    if sequences is not None:
        sequences = _renumbered_events(sequences, indices)
    return Histories(renumbered(histories.matrix, indices, n_items), sequences)


def renumbered(matrix: Any, indices: Longs, n_items: int) -> Any:
    """Return a csr matrix with column i moved to `indices[i]` of `n_items`; -1 drops it."""
    from scipy import sparse

    columns = indices[matrix.indices]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    kept = columns >= 0
    parts = (matrix.data[kept], (rows[kept], columns[kept]))
    return sparse.coo_array(parts, shape=(matrix.shape[0], n_items)).tocsr()


def _renumbered_events(sequences: Sequences, indices: Longs) -> Sequences:
    from models.dataset import Sequences

    items = indices[sequences.items]
    kept = items >= 0
    indptr = np.concatenate(([0], np.cumsum(kept)))[sequences.indptr].astype(np.int64)
    return Sequences(indptr, items[kept].astype(np.int32), sequences.timestamps[kept])
