"""The Parquet files of a dataset on disk, read as tables.

It imports little, because every training starts with it: pyarrow.dataset would import pandas, which
costs half a second of CPU.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def parts_of(folder: Path, name: str) -> list[Path]:
    """Return the Parquet files of a part of a dataset, in the order of their rows."""
    return sorted((folder / name).glob("*.parquet"))


def rows(folder: Path, name: str) -> int:
    """Return the number of rows of a part of a dataset, from the footers of its files."""
    return sum(pq.read_metadata(path).num_rows for path in parts_of(folder, name))


def read(folder: Path, name: str, columns: list[str] | None = None) -> pa.Table:
    """Return a part of a dataset, with its files in the order of their names."""
    tables = [pq.ParquetFile(path).read(columns=columns) for path in parts_of(folder, name)]
    return pa.concat_tables(tables)
