"""Small tables as Parquet files in folders by the values of columns, named as DuckDB and Spark do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
DICTIONARY_ROWS: Final = 1_000  # in fewer rows, dictionaries take longer to write than they save


def read_small(reader: pa.RecordBatchReader, most: int) -> pa.Table | None:
    """Return all rows of a reader; None as soon as they have more than `most` bytes."""
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > most:
            return None
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def write_partitions(rows: pa.Table, folder: Path, keys: Sequence[str]) -> None:
    """Write rows as folder/key=value/.../data_0.parquet, without the columns `keys`.

    Rows of a file keep their order.
    """
    values = [pc.fill_null(rows[key].cast(pa.string()), NO_VALUE) for key in keys]
    names = pc.binary_join_element_wise(*values, "\0").combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names.dictionary))).tolist()
    rows = rows.drop_columns(list(keys)).take(order).combine_chunks()
    for name, start, end in zip(names.dictionary.to_pylist(), [0, *ends], ends, strict=False):
        parts = zip(keys, name.split("\0"), strict=True)
        target = folder.joinpath(*(f"{key}={quote(value, safe='')}" for key, value in parts))
        target.mkdir(parents=True)
        _write(rows.slice(start, end - start), target / "data_0.parquet")


def _write(rows: pa.Table, path: Path) -> None:
    dictionaries = len(rows) >= DICTIONARY_ROWS
    with pa.OSFile(str(path), "wb") as file:
        pq.write_table(rows, file, compression="zstd", use_dictionary=dictionaries, store_schema=False)
