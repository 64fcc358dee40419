"""The interface of an engine: named relations made from .sql files, and Parquet in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from sql.landing.landing import Landing, RawFile
    from sql.source import Reading


class Dialect(Protocol):
    """The few expressions that DuckDB and Spark spell differently; all else is in the portable subset."""

    def json_row(self, columns: Mapping[str, str]) -> str:
        """Return an expression: the columns (key -> column) as one JSON object, nulls kept."""

    def hash_row(self, columns: Sequence[str]) -> str:
        """Return an expression: a 64-bit hash of the columns, equal for equal rows of one engine."""

    def keyed_hash(self, text: str, inner_pad: str, outer_pad: str) -> str:
        """Return an expression: HMAC-SHA256 of text in hexadecimal, by the key's two pads (binary)."""

    def parse_time(self, text: str, pattern: str) -> str:
        """Return an expression: text as TIMESTAMP by "iso" or a strptime pattern, else NULL."""


class Engine(Protocol):
    """Runs one SELECT a file; the file's stem is the name of the relation that it makes."""

    name: str

    @property
    def dialect(self) -> Dialect:
        """What this engine spells in its own way."""

    def land(self, files: Sequence[RawFile], reading: Reading, mapped: Sequence[str]) -> Landing:
        """Read raw files into relations of text with file_id and line; see `landing.py`."""

    def parquet(self, name: str, paths: Sequence[Path]) -> None:
        """Make relation `name` a view over Parquet files (columns by name; absent ones are null)."""

    def table(self, name: str, rows: pa.Table) -> None:
        """Make relation `name` from a small Arrow table; how values are bound."""

    def view(self, name: str, query: str) -> None:
        """Make relation `name` a view, computed anew by each reader."""

    def materialise(self, name: str, query: str) -> None:
        """Make relation `name` and compute it once; it may spill to disk."""

    def number(self, name: str, relation: str, key: str, column: str) -> None:
        """Make relation `name`: `relation` with INT `column` 0, 1, 2... in ascending order of `key`."""

    def write(
        self, query: str, folder: Path, order_by: Sequence[str] = (), partition_by: Sequence[str] = ()
    ) -> None:
        """Write a query as zstd Parquet files in a new folder; with order_by their names are in order."""

    def fetch(self, query: str) -> pa.Table:
        """Return a query's rows as an Arrow table; for results that fit in memory."""

    def close(self) -> None:
        """Drop every relation and free what they held."""
