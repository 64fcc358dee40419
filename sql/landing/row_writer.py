"""Rows of text to a Parquet file, the rejected lines beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sql.errors import SourceError
from sql.landing.fill_down import FillDown
from sql.landing.landing import RawFile, Wanted, positional
from sql.landing.text_rows import Reject
from sql.reading import Reading
from sql.source import ELEMENT

OTHER = "other"
"""The column that holds all others of a JSON object, or of a file with very many columns."""
WIDE = 200  # columns; those of wider files that are not wanted become one
SEPARATOR = "\x1f"
ROW_GROUP = 1 << 18  # rows
MOST_REJECTS = 100_000  # rejected lines that end the landing, if they outnumber the rows
REJECTS = pa.schema(
    [
        pa.field("file_id", pa.int32()),
        pa.field("line", pa.int64()),
        pa.field("rule", pa.string()),
        pa.field("raw", pa.string()),
    ]
)


@dataclass
class LandedFile:
    """One landed file: its columns, and the paths and counts of its rows and rejects.

    `absent` are the optional columns that it lacks.
    """

    file_id: int
    columns: tuple[str, ...]
    rows: int = 0
    path: Path | None = None
    rejects: Path | None = None
    rejected: Counter[str] = field(default_factory=Counter)
    absent: tuple[str, ...] = ()


class RowWriter:
    """Writes the rows and rejects of one file; a Parquet file is only created for content.

    Parameters
    ----------
    file
        The file; wanted columns that it lacks and its folders tell are added to its rows.
    columns
        The names of its columns.
    reading, wanted
        What to do with the values: words that mean no value become null, ids are trimmed and
        lowered, values filled down.
    folder
        Where to write.
    """

    def __init__(
        self, file: RawFile, columns: tuple[str, ...], reading: Reading, wanted: Wanted, folder: Path
    ) -> None:
        added = {
            name: text
            for name, text in file.partitions.items()
            if name in wanted.columns and name not in columns
        }
        self._file, self._folder = file, folder
        self._added: Mapping[str, str | None] = added
        self._kept = _kept(columns, wanted)
        self._ids = [index for index, name in enumerate(columns) if name in wanted.ids]
        self._nulls = pa.array([word for word in reading.null_values if word], pa.string())
        self._trim, self._lower = reading.trim_ids, reading.lower_ids
        self._filler = _filler(columns, reading)
        names = columns if self._kept is None else (*(columns[index] for index in self._kept), OTHER)
        self._split = _split_column(names, wanted)
        element = () if self._split is None else (ELEMENT,)
        self.landed = LandedFile(file.file_id, (*names, *element, *added))
        self._rows: Any = None
        self._rejects: Any = None

    def rows(self, lines: Any, columns: Sequence[Any]) -> None:
        """Write rows: their line numbers (int64) and one Arrow text array per column of the file."""
        if not len(lines):
            return
        columns = [self._value(column, index) for index, column in enumerate(columns)]
        if self._filler:
            lines, columns = self._filler.fill(lines, columns)
        if self._kept is not None:
            columns = _folded(columns, self._kept)
        if self._split:
            lines, columns = _split_values(lines, columns, *self._split)
        numbers = pa.array(np.full(len(lines), self.landed.file_id, np.int32))
        names = ["file_id", "line", *positional(self.landed.columns)]
        constants = [
            pa.repeat(pa.scalar(text or None, pa.string()), len(lines)) for text in self._added.values()
        ]
        table = pa.table([numbers, pa.array(lines, pa.int64()), *columns, *constants], names=names)
        if self._rows is None:
            self.landed.path = self._folder / f"rows-{self.landed.file_id:08d}.parquet"
            self._rows = pq.ParquetWriter(
                self.landed.path, table.schema, compression="snappy", write_statistics=False
            )
        self._rows.write_table(table, row_group_size=ROW_GROUP)
        self.landed.rows += len(lines)

    def _value(self, column: Any, index: int) -> Any:
        """Return a column without words that mean no value; ids as configured, null if only spaces."""
        if len(self._nulls):
            column = pc.if_else(pc.is_in(column, value_set=self._nulls), None, column)
        if index not in self._ids:
            return column
        column = pc.utf8_trim_whitespace(column) if self._trim else column
        column = pc.if_else(pc.equal(pc.ascii_trim(column, " "), ""), None, column)
        return pc.utf8_lower(column) if self._lower else column

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Write rejected lines; SourceError once there are too many for the configured format."""
        if not rejects:
            return
        if self._rejects is None:
            self.landed.rejects = self._folder / f"rejects-{self.landed.file_id:08d}.parquet"
            self._rejects = pq.ParquetWriter(self.landed.rejects, REJECTS, compression="snappy")
        texts = [[reject.rule for reject in rejects], [reject.raw for reject in rejects]]
        numbers = [[self.landed.file_id] * len(rejects), [reject.line for reject in rejects]]
        self._rejects.write_table(pa.table([*numbers, *texts], schema=REJECTS))
        self.landed.rejected.update(texts[0])
        lines, rows = sum(self.landed.rejected.values()), self.landed.rows
        if lines > max(MOST_REJECTS, rows):
            rule = self.landed.rejected.most_common(1)[0][0]
            raise SourceError(
                f"{self._file.name}: {lines:,} of the first {lines + rows:,} lines are not rows, most by "
                f"rule {rule}: is the file a log in the configured format?"
            )

    def close(self) -> LandedFile:
        """Close the files and return their summary."""
        for writer in (self._rows, self._rejects):
            if writer is not None:
                writer.close()
        return self.landed


def _split_column(columns: Sequence[str], wanted: Wanted) -> tuple[int, str] | None:
    """Return the position of the column with several values, and what separates them."""
    if wanted.split is None or wanted.split[0] not in columns:
        return None
    return columns.index(wanted.split[0]), wanted.split[1]


def _split_values(lines: Any, columns: Sequence[Any], index: int, separator: str) -> tuple[Any, list[Any]]:
    """Return a row for each value in a column, and last the number of the value; spaces do not count."""
    cells = columns[index]
    cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    pieces = pc.split_pattern(cells.fill_null(""), separator)
    owners, values = pc.list_parent_indices(pieces), pc.utf8_trim(pc.list_flatten(pieces), " ")
    rows = owners.to_numpy(zero_copy_only=False)
    sizes = pc.binary_length(values).to_numpy(zero_copy_only=False)
    has_value = np.zeros(len(cells), np.bool_)
    has_value[rows[sizes > 0]] = True
    first = np.append(True, rows[1:] != rows[:-1]) if len(rows) else np.zeros(0, np.bool_)
    kept = (sizes > 0) | (first & ~has_value[rows])  # a cell without a value stays a row
    rows, values = rows[kept], values.filter(pa.array(kept))
    starts = np.append(True, rows[1:] != rows[:-1])
    numbers = np.arange(len(rows)) - np.maximum.accumulate(np.where(starts, np.arange(len(rows)), 0)) + 1
    owners = pa.array(rows)
    taken = [column.take(owners) for column in columns]
    taken[index] = pc.if_else(pc.equal(pc.binary_length(values), 0), None, values)
    return np.asarray(lines)[rows], [*taken, pa.array(numbers).cast(pa.string())]


def _kept(columns: Sequence[str], wanted: Wanted) -> list[int] | None:
    """Return the positions of the columns to keep apart, None if all are."""
    if len(columns) <= WIDE:
        return None
    return [index for index, name in enumerate(columns) if name in wanted.columns]


def _folded(columns: Sequence[Any], kept: Sequence[int]) -> list[Any]:
    """Return the kept columns, and the others joined into one."""
    apart = set(kept)
    others = [column for index, column in enumerate(columns) if index not in apart]
    joined = pc.binary_join_element_wise(*others, SEPARATOR, null_handling="replace", null_replacement="")
    return [*(columns[index] for index in kept), joined]


def _filler(columns: Sequence[str], reading: Reading) -> FillDown | None:
    """Return what fills the columns of the configuration that this file has, None for none."""
    filled = [columns.index(name) for name in reading.fill_down if name in columns]
    within = reading.fill_down_within
    if not filled:
        return None
    if within is not None and within not in columns:
        raise SourceError(
            f"expected column {within!r} of fill_down_within; known: {', '.join(columns)[:2000]}"
        )
    return FillDown(filled, None if within is None else columns.index(within))
