"""A dataset on disk as arrays: from Parquet through pyarrow to scipy, by whole columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.parts import read, rows

if TYPE_CHECKING:
    from models.dataset import Dataset, Histories, Sequences

Longs = npt.NDArray[np.int64]


def load_dataset(folder: Path) -> Dataset:
    """Return a dataset's training data: weights and events of the users and items to train on.

    The matrix is CSR float32 (n_users, n_items). Users and items that are not trained on have empty
    rows and columns.
    """
    from models.dataset import Dataset

    shape = shape_of(folder)
    entries = read(folder, "entries")
    users, items = _trained(folder, "users"), _trained(folder, "items")
    return Dataset(_matrix(entries.filter(entries["trained"]), shape), _sequences(folder, users, items))


def load_histories(folder: Path) -> Histories:
    """Return the history of all users, trained on or not, limited to items trained on."""
    from models.dataset import Histories

    entries = read(folder, "entries", ["user_index", "item_index", "weight"])
    items = _trained(folder, "items")
    counts = pc.and_(pc.greater(entries["weight"], 0), pa.array(items[array_of(entries["item_index"])]))
    all_users = np.ones(rows(folder, "users"), dtype=np.bool_)
    return Histories(_matrix(entries.filter(counts), shape_of(folder)), _sequences(folder, all_users, items))


def load_seen(folder: Path) -> Any:
    """Return all pairs of user and item with events, as CSR float32 (n_users, n_items) of ones."""
    return _ones(read(folder, "entries", ["user_index", "item_index", "weight"]), folder)


def load_barred(folder: Path) -> Any:
    """Return the pairs not to recommend again, as CSR float32 (n_users, n_items) of ones.

    These are all seen ones, unless a repeat is welcome after some time.
    """
    entries = read(folder, "entries", ["user_index", "item_index", "weight", "barred"])
    return _ones(entries.filter(entries["barred"]), folder)


def shape_of(folder: Path) -> tuple[int, int]:
    """Return the numbers of users and items of a dataset."""
    return rows(folder, "users"), rows(folder, "items")


def micros(timestamps: pa.ChunkedArray) -> Longs:
    """Return timestamps, with or without a zone, as int64 microseconds since 1970 UTC."""
    return np.asarray(array_of(timestamps.cast(pa.timestamp("us")).cast(pa.int64())), dtype=np.int64)


def array_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column of numbers without nulls as a read-only array.

    `to_numpy` returns the same, but imports pandas.
    """
    return np.from_dlpack(column.combine_chunks())


def _trained(folder: Path, kind: str) -> npt.NDArray[np.bool_]:
    """Return a mask of the users (items) that are trained on."""
    trained = read(folder, kind, ["trained"])["trained"]
    return array_of(trained.cast(pa.uint8())).astype(np.bool_)


def _sequences(folder: Path, users: npt.NDArray[np.bool_], items: npt.NDArray[np.bool_]) -> Sequences:
    """Return the events of the users and items that the masks select."""
    from models.dataset import Sequences

    events = read(folder, "sequences", ["user_index", "item_index", "timestamp"])
    user, item = array_of(events["user_index"]), array_of(events["item_index"])
    kept = users[user] & items[item]
    return Sequences(_indptr(user[kept], len(users)), item[kept], micros(events["timestamp"])[kept])


def _matrix(entries: pa.Table, shape: tuple[int, int]) -> Any:
    """Return sorted (user_index, item_index, weight) rows as CSR, without another sort."""
    from scipy import sparse

    columns = array_of(entries["item_index"])
    index = np.int32 if len(columns) < 2**31 else np.int64
    indptr = _indptr(array_of(entries["user_index"]), shape[0]).astype(index)
    data = np.array(array_of(entries["weight"]), dtype=np.float32)
    return sparse.csr_array((data, columns.astype(index), indptr), shape=shape)


def _ones(entries: pa.Table, folder: Path) -> Any:
    """Return a matrix as of `_matrix`, with ones for the weights."""
    matrix = _matrix(entries, shape_of(folder))
    matrix.data[:] = 1
    return matrix


def _indptr(users: npt.NDArray[np.integer], n_users: int) -> Longs:
    return np.concatenate(([0], np.cumsum(np.bincount(users, minlength=n_users)))).astype(np.int64)
