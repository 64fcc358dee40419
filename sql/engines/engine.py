"""The interface of an engine: named relations from .sql files, and Parquet in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from sql.landing.landing import Landing, RawFile, Wanted
    from sql.reading import Reading


class Dialect(Protocol):
    """The few expressions that DuckDB and Spark spell differently; the rest is portable SQL."""

    def json_row(self, columns: Mapping[str, str]) -> str:
        """Return an expression for the columns (key -> column) as one JSON object, nulls kept."""

    def hash_row(self, columns: Sequence[str]) -> str:
        """Return an expression for a 64-bit hash of the columns; engines hash differently."""

    def keyed_hash(self, text: str, inner_pad: str, outer_pad: str) -> str:
        """Return an expression for the HMAC-SHA256 of text (hex), given two binary key pads."""

    def matches(self, text: str, regex: str) -> str:
        """Return an expression that tells whether the whole text matches a regular expression."""

    def rewrite(self, text: str, regex: str, replacement: str) -> str:
        """Return an expression for text with a match replaced; $1 in `replacement` is group 1."""

    def cast_time(self, text: str) -> str:
        """Return an expression for text in ISO's usual form as TIMESTAMP, NULL for no such time."""

    def parse_time(self, text: str, pattern: str) -> str:
        """Return an expression for text as TIMESTAMP by "iso" or a strptime pattern, else NULL."""


class Engine(Protocol):
    """Runs one SELECT per .sql file; the relation it creates is named after the file."""

    name: str

    @property
    def dialect(self) -> Dialect:
        """The engine's dialect."""

    def land(self, files: Sequence[RawFile], reading: Reading, wanted: Wanted) -> Landing:
        """Read raw files into relations of text with file_id and line; see `landing.py`."""

    def parquet(self, name: str, paths: Sequence[Path], *, reread: bool = False) -> None:
        """Create relation `name`, a view over Parquet files; missing columns are null.

        `reread` says that several queries will read the files, which do not change meanwhile.
        """

    def table(self, name: str, rows: pa.Table) -> None:
        """Create relation `name` from a small Arrow table; this binds values."""

    def view(self, name: str, query: str) -> None:
        """Create relation `name` as a view, recomputed by each reader."""

    def materialise(self, name: str, query: str) -> None:
        """Create relation `name` and compute it once; it can spill to disk."""

    def number(self, name: str, relation: str, key: str, column: str) -> None:
        """Create relation `name`: `relation` with INT `column` 0, 1, 2... in the order of `key`."""

    def write(
        self, query: str, folder: Path, order_by: Sequence[str] = (), partition_by: Sequence[str] = ()
    ) -> None:
        """Write a query as zstd Parquet files in a new folder.

        With order_by, the rows are in order across the files sorted by name.
        """

    def fetch(self, query: str) -> pa.Table:
        """Return a query's rows as an Arrow table; for results that fit in memory."""

    def close(self) -> None:
        """Drop all relations and free their resources."""
