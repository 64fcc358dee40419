"""Files of published protocols and of ratings, as arrays for models.protocols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from models.errors import ModelError
from models.timestamps import LATEST, microseconds
from tasks.runtime.errors import InputError

if TYPE_CHECKING:
    from models.dataset import Sequences

Longs = npt.NDArray[np.int64]
NAMES = {
    "user_id": ("user_id", "userId", "user"),
    "item_id": ("item_id", "movieId", "item"),
    "rating": ("rating", "value"),
    "timestamp": ("timestamp",),
}


@dataclass(frozen=True)
class NcfFiles:
    """The split of He et al. 2017: who had what, one item a user to find, and the negatives to find it among.

    `train` csr float32 (n_users, n_items) of ones; `sequences` where the file has timestamps, else None;
    `positives` int64 (n_users,), `negatives` int64 (n_users, m). Users and items have the files' numbers.
    """

    train: Any
    sequences: Sequences | None
    positives: Longs
    negatives: Longs


@dataclass(frozen=True)
class Ratings:
    """Ratings with users and items numbered in the order of their ids.

    `user_ids`, `item_ids`: the id of each number; `users`, `items` int64, `ratings` float64, `timestamps`
    int64 microseconds, `positions` int64 (the true order of one moment, or None), all (n_ratings,).
    """

    user_ids: npt.NDArray[Any]
    item_ids: npt.NDArray[Any]
    users: Longs
    items: Longs
    ratings: npt.NDArray[np.float64]
    timestamps: Longs
    positions: Longs | None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and items."""
        return len(self.user_ids), len(self.item_ids)

    def at_least(self, rating: float) -> Ratings:
        """Return the ratings from `rating` on, with the users and items that remain numbered anew."""
        kept = self.ratings >= rating
        if not kept.any():
            raise InputError(f"expected a rating of {rating} or more, got none")
        user_numbers, users = np.unique(self.users[kept], return_inverse=True)
        item_numbers, items = np.unique(self.items[kept], return_inverse=True)
        positions = None if self.positions is None else self.positions[kept]
        return Ratings(
            self.user_ids[user_numbers],
            self.item_ids[item_numbers],
            users,
            items,
            self.ratings[kept],
            self.timestamps[kept],
            positions,
        )

    def sequences(self) -> Sequences:
        """Return the ratings as events in time order, then by position, then as in the file."""
        from models.splitting.split import in_order

        return in_order(self.users, self.items, self.timestamps, len(self.user_ids), self.positions)[0]

    def matrix(self) -> Any:
        """Return the pairs as csr float32 (n_users, n_items) of ones."""
        return _ones(self.users, self.items, self.shape)


def read_ncf(folder: Path) -> NcfFiles:
    """Read `*.train.rating*`, `*.test.rating` and `*.test.negative` of a folder."""
    train = _numbers(_one(folder, "*.train.rating*"))
    test = _numbers(_one(folder, "*.test.rating"))
    path = _one(folder, "*.test.negative")
    table = _csv(path, "\t")
    marks = pc.split_pattern(pc.utf8_trim(table[0].cast(pa.string()), "()"), ",").combine_chunks()
    pairs = marks.flatten().cast(pa.int64()).to_numpy(zero_copy_only=False).reshape(len(table), -1)
    negatives = np.column_stack([column.cast(pa.int64()).to_numpy() for column in table.columns[1:]])
    if not np.array_equal(pairs, test[:, :2]) or not np.array_equal(test[:, 0], np.arange(len(test))):
        raise InputError(
            f"{path}: expected the users 0, 1, ... and the items of {path.stem}.rating, got others"
        )
    shape = (
        1 + int(max(train[:, 0].max(), test[:, 0].max())),
        1 + int(max(train[:, 1].max(), test[:, 1].max(), negatives.max())),
    )
    if shape[0] != len(test):
        raise InputError(f"{folder}: expected a test item for each of {shape[0]} users, got {len(test)}")
    sequences = None
    if train.shape[1] > 3:
        from models.splitting.split import in_order

        sequences, _ = in_order(train[:, 0], train[:, 1], train[:, 3].astype("datetime64[s]"), shape[0])
    return NcfFiles(_ones(train[:, 0], train[:, 1], shape), sequences, test[:, 1], negatives)


def read_ratings(path: Path) -> Ratings:
    """Read ratings: Parquet, CSV with a header, or MovieLens' `.dat` (user::item::rating::seconds).

    Columns user_id, item_id, rating, timestamp (or MovieLens' names), and position where there is one; what
    has none comes last of its moment.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    elif path.suffix == ".dat":
        table = _csv(path, ":").select([0, 2, 4, 6]).rename_columns(list(NAMES))
    else:
        table = pacsv.read_csv(path)
    columns = {name: _column(table, name, path) for name in NAMES}
    user_ids, users = np.unique(columns["user_id"].to_numpy(), return_inverse=True)
    item_ids, items = np.unique(columns["item_id"].to_numpy(), return_inverse=True)
    positions = None
    if "position" in table.column_names:
        positions = np.asarray(pc.fill_null(table["position"].cast(pa.int64()), LATEST).to_numpy())
    ratings = columns["rating"].cast(pa.float64()).to_numpy()
    times = _micros(columns["timestamp"], path)
    return Ratings(user_ids, item_ids, users, items, ratings, times, positions)


def _micros(column: pa.ChunkedArray, path: Path) -> Longs:
    """Return timestamps, or whole seconds since 1970, as microseconds."""
    times = column.to_numpy()
    if pa.types.is_integer(column.type):
        times = times.astype("datetime64[s]")
    elif not pa.types.is_timestamp(column.type):
        raise InputError(f"{path}: expected timestamps, or whole seconds since 1970, got {column.type}")
    try:
        return microseconds(times)
    except ModelError as error:
        raise InputError(f"{path}: {error}") from None


def _column(table: pa.Table, name: str, path: Path) -> pa.ChunkedArray:
    for known in NAMES[name]:
        if known in table.column_names:
            if table[known].null_count:
                raise InputError(
                    f"{path}: expected a {known} in every row, got {table[known].null_count} empty"
                )
            return table[known]
    raise InputError(f"{path}: expected a column {name}, got {', '.join(table.column_names)}")


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise InputError(f"expected one file {pattern} in {folder}, got {len(found)}")
    return found[0]


def _csv(path: Path, delimiter: str) -> pa.Table:
    try:
        return pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(autogenerate_column_names=True),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: {error}") from error


def _numbers(path: Path) -> Longs:
    """Return a tab-separated file of whole numbers as int64 (n_rows, n_columns), at least three columns."""
    table = _csv(path, "\t")
    if table.num_columns < 3 or not all(pa.types.is_integer(kind) for kind in table.schema.types):
        raise InputError(
            f"{path}: expected whole numbers (user, item, rating, ...), got {table.schema.types}"
        )
    return np.column_stack([column.to_numpy() for column in table.columns])


def _ones(users: Longs, items: Longs, shape: tuple[int, int]) -> Any:
    from scipy import sparse

    matrix = sparse.coo_array((np.ones(len(users), np.float32), (users, items)), shape=shape).tocsr()
    matrix.data[:] = 1
    return matrix
