"""Ids on disk, in the Arrow IPC format and in their original type."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.errors import ModelError
from models.frames.ids import Ids, encode_ids
from models.frames.source import Column, Form

COLUMN = "id"


def write_ids(path: Path, ids: Ids) -> str:
    """Write ids in order and return the SHA-256 of the file; equal ids give equal bytes."""
    table = pa.table({COLUMN: ids.take(np.arange(len(ids)))})
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    part.replace(path)
    return sha256_of(path.read_bytes())


def read_ids(path: Path, sha256: object, count: int) -> Ids:
    """Return the ids in a file.

    Raises
    ------
    ModelError
        When the file is missing, was changed, or does not hold ``count`` distinct ids in ascending
        order.
    """
    if not path.is_file():
        raise ModelError(f"expected the ids of the items in {path}, got no such file")
    content = path.read_bytes()
    digest = sha256_of(content)
    if digest != sha256:
        raise ModelError(f"expected {path} with SHA-256 {sha256!r:.100}, got {digest}: the file was changed")
    try:
        table = pa.ipc.open_file(content).read_all()
        table.validate(full=True)
        ids, codes = encode_ids(Column(COLUMN, table[COLUMN], Form()))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:  # OSError: flatbuffers
        raise ModelError(f"expected a column of ids in {path}, got {error!s:.200}") from error
    if len(ids) != count or not np.array_equal(codes, np.arange(count)):
        raise ModelError(f"expected {count} ids in ascending order in {path}, got {len(codes)}")
    return ids


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()
