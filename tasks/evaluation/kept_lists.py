"""The lists of a measured model, kept beside its artefact for other stations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.dataset.arrays import array_of
from tasks.store.files import sha256_of, writing

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
STAMP = b"stamp"


@dataclass(frozen=True)
class KeptLists:
    """Lists int32 (n_users, depth), padded with -1; `users` int64 (n_users,) in ascending order."""

    users: Longs
    items: Ints

    def of(self, users: Longs, k: int) -> Ints | None:
        """Return the first k items of some users' lists; None if any is missing or shorter."""
        rows = np.searchsorted(self.users, users)
        rows[rows == len(self.users)] = 0
        if k > self.items.shape[1] or not len(self.users) or (self.users[rows] != users).any():
            return None
        return np.ascontiguousarray(self.items[rows, :k])


def stamp_of(artefact: Path, rules: bytes) -> str:
    """Return a hash that identifies the lists of this training under these rules."""
    return hashlib.sha256(sha256_of(artefact / "artefact.json").encode() + rules).hexdigest()


def read_lists(artefact: Path, stamp: str) -> KeptLists | None:
    """Return the kept lists of a model; None if absent, damaged, or of another stamp."""
    path = _lists_file(artefact)
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            if (file.schema_arrow.metadata or {}).get(STAMP) != stamp.encode():
                return None
            table = file.read()
    except (OSError, pa.ArrowException):  # lists can be made again
        return None
    items = table["items"].combine_chunks()
    return KeptLists(array_of(table["user_index"]), items.flatten().to_numpy().reshape(len(table), -1))


def write_lists(artefact: Path, stamp: str, lists: KeptLists) -> None:
    """Write the lists of a model, replacing earlier ones; StoreError if that fails."""
    items = pa.FixedSizeListArray.from_arrays(pa.array(lists.items.ravel()), lists.items.shape[1])
    table = pa.table({"user_index": pa.array(lists.users), "items": items})
    path, part = _lists_file(artefact), _lists_file(artefact).with_suffix(".part")
    with writing(path):
        pq.write_table(table.replace_schema_metadata({STAMP: stamp.encode()}), part, compression="zstd")
        part.replace(path)


def _lists_file(artefact: Path) -> Path:
    return artefact.with_name(f"{artefact.name}.lists.parquet")
