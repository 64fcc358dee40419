"""Values that a file tells once for several rows, as order exports do: they are filled downwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


class FillDown:
    """Fills empty values of some columns with the last value above, through all blocks of a file.

    Parameters
    ----------
    columns
        The positions of the columns to fill.
    within
        The position of the column that groups rows, such as the order's number: values are only
        filled from rows with an equal value there. None fills from any row above.
    """

    def __init__(self, columns: Sequence[int], within: int | None) -> None:
        self._columns, self._within = tuple(columns), within
        self._last: list[Any] | None = None  # the last row before this block

    def fill(self, lines: Any, columns: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Return lines (int64) and columns (Arrow text) in the order of lines, with values filled."""
        order = np.argsort(np.asarray(lines), kind="stable")
        lines = np.asarray(lines)[order]
        if not len(lines):
            return lines, list(columns)
        rows = [_array(column).take(pa.array(order)) for column in columns]
        if self._last is not None:
            rows = [pa.concat_arrays([last, row]) for last, row in zip(self._last, rows, strict=True)]
        start = 0 if self._last is None else 1
        groups = self._groups(rows)
        for position in self._columns:
            rows[position] = rows[position].take(_sources(rows[position], groups))
        self._last = [row[-1:] for row in rows]
        return lines, [row[start:] for row in rows]

    def _groups(self, rows: Sequence[Any]) -> Any:
        """Return the number of each row's group (int64): it begins where `within` changes."""
        if self._within is None:
            return np.zeros(len(rows[0]), np.int64)
        codes = rows[self._within].dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return np.cumsum(np.append(0, codes[1:] != codes[:-1]))


def _array(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _sources(values: Any, groups: Any) -> Any:
    """Return the row that each value comes from: itself, or the last one above in its group."""
    rows = np.arange(len(values))
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    above = np.maximum.accumulate(np.where(valid, rows, -1))
    filled = (above >= 0) & (groups[above] == groups)
    return pa.array(np.where(filled, above, rows))
