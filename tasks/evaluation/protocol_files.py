"""Readers of the files of published protocols, and of ratings."""

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
from models.timestamps import LATEST
from tasks.runtime.errors import InputError

if TYPE_CHECKING:
    from models.dataset import Sequences
    from models.evaluation.ratings import Ratings
    from models.interactions import Interactions

Longs = npt.NDArray[np.int64]
NAMES = {
    "user": ("user_id", "userId", "user"),
    "item": ("item_id", "movieId", "item"),
    "value": ("rating", "value"),
    "timestamp": ("timestamp",),
}


@dataclass(frozen=True)
class NcfFiles:
    """The split of He et al. 2017: training pairs, one test item per user, and its negatives.

    `train` csr float32 (n_users, n_items) of ones; `sequences`, None if the file has no timestamps;
    `positives` int64 (n_users,); `negatives` int64 (n_users, m). Users and items have the files'
    numbers.
    """

    train: Any
    sequences: Sequences | None
    positives: Longs
    negatives: Longs


def read_ncf(folder: Path) -> NcfFiles:
    """Read the files `*.train.rating*`, `*.test.rating` and `*.test.negative` of a folder."""
    train = _read_numbers(_single_file(folder, "*.train.rating*"))
    test = _read_numbers(_single_file(folder, "*.test.rating"))
    path = _single_file(folder, "*.test.negative")
    table = _read_csv(path, "\t")
    fields = pc.split_pattern(pc.utf8_trim(table[0].cast(pa.string()), "()"), ",").combine_chunks()
    pairs = fields.flatten().cast(pa.int64()).to_numpy(zero_copy_only=False).reshape(len(table), -1)
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
        from models.splitting.split import to_sequences

        sequences, _ = to_sequences(train[:, 0], train[:, 1], train[:, 3].astype("datetime64[s]"), shape[0])
    return NcfFiles(_ones(train[:, 0], train[:, 1], shape), sequences, test[:, 1], negatives)


def read_ratings(path: Path) -> Interactions:
    """Read ratings: Parquet, CSV with a header, or MovieLens' `.dat` (user::item::rating::seconds).

    Columns are user_id, item_id, rating and timestamp (or MovieLens' names), and optionally
    position; a rating without a position comes last among those of its timestamp.
    """
    from models.interactions import Interactions

    if not path.is_file():
        raise InputError(f"no such file: {path}")
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    elif path.suffix == ".dat":
        table = _read_csv(path, ":").select([0, 2, 4, 6]).rename_columns(list(NAMES))
    else:
        table = pacsv.read_csv(path)
    columns = {role: _column_name(table, role, path) for role in NAMES}
    if "position" in table.column_names:
        columns["position"] = "position"
        filled = pc.fill_null(table["position"].cast(pa.int64()), LATEST)
        table = table.set_column(table.column_names.index("position"), "position", filled)
    try:
        return Interactions.of(table, **columns, unit="s")
    except ModelError as error:
        raise InputError(f"{path}: {error}") from None


def latest_ratings(events: Interactions) -> Ratings:
    """Return the ratings of distinct pairs: of several, the one that comes last in time and position.

    InputError if a rating is not above 0: a weight of 0 is no rating to the models.
    """
    from models.evaluation.ratings import Ratings

    values = events.values
    if values is None or not len(values) or not values.min() > 0:
        least = None if values is None or not len(values) else values.min()
        raise InputError(f"expected ratings above 0 (shift their scale), got {least}")
    none = np.zeros(len(values), dtype=np.int64)
    times = none if events.timestamps is None else events.timestamps
    positions = none if events.positions is None else events.positions
    order = np.lexsort((positions, times, events.items, events.users))
    users, items = events.users[order], events.items[order]
    last = np.append((users[1:] != users[:-1]) | (items[1:] != items[:-1]), True)
    kept = order[last]
    timestamps = None if events.timestamps is None else events.timestamps[kept]
    return Ratings(events.users[kept], events.items[kept], values[kept], timestamps, events.shape)


def _column_name(table: pa.Table, role: str, path: Path) -> str:
    for name in NAMES[role]:
        if name in table.column_names:
            return name
    raise InputError(f"{path}: expected a column {NAMES[role][0]}, got {', '.join(table.column_names)}")


def _single_file(folder: Path, pattern: str) -> Path:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise InputError(f"expected one file {pattern} in {folder}, got {len(files)}")
    return files[0]


def _read_csv(path: Path, delimiter: str) -> pa.Table:
    try:
        return pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(autogenerate_column_names=True),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: {error}") from error


def _read_numbers(path: Path) -> Longs:
    """Read a tab-separated file of whole numbers: int64 (n_rows, at least 3 columns)."""
    table = _read_csv(path, "\t")
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
