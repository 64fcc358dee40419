"""The rows of a sample, read as an ingest reads them, as columns of text; nested keys as paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted, file_format
from sql.landing.row_writer import OTHER
from sql.reading import Reading
from sql.source import ELEMENT
from tasks.runtime.errors import InputError

Columns = dict[str, list[str | None]]
DEEPEST: Final = 4
MOST_ELEMENTS: Final = 20
"""Elements of a list that are looked at, in each row."""
MOST_ROWS: Final = 4000
"""Rows that are looked at of a file that cannot be cut."""
MANY: Final = 190
"""Columns from which an ingest folds those that are not mapped into one."""


@dataclass(frozen=True)
class SampleRows:
    """The rows of a file's beginning: a list of texts for each column, and the names in order.

    Of a list of objects (`items[].item_id`), a row has its first element's value.
    """

    columns: Columns
    rows: int


def read_rows(beginning: RawFile, reading: Reading, folder: Path, header: tuple[str, ...] = ()) -> SampleRows:
    """Return the rows of a file's beginning; InputError if an ingest would refuse it.

    `header` are the names of a text file's columns.
    """
    wide = header if len(header) > MANY else ()
    wanted = Wanted(tuple(dict.fromkeys(wide)), optional=frozenset(wide))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        landed = land_file(beginning, reading, wanted, folder)
    except SourceError as error:
        raise InputError(str(error)) from None
    told = {key: value for key, value in beginning.partitions.items() if value is not None}
    if landed.path is None:
        return SampleRows({}, 0)
    import pyarrow.parquet as pq

    table = next(pq.ParquetFile(landed.path).iter_batches(batch_size=MOST_ROWS)).sort_by("line")
    texts = {column: table.column(f"c{index}").to_pylist() for index, column in enumerate(landed.columns)}
    nests = file_format(beginning.name, reading) not in {"csv", "sheets"}
    columns = _unnested(texts, table.num_rows, in_cells=nests)
    columns |= {key: [value] * table.num_rows for key, value in told.items() if key not in columns}
    return SampleRows(columns, table.num_rows)


def _unnested(texts: Columns, rows: int, *, in_cells: bool) -> Columns:
    """Return columns with the paths of nested values as columns of their own."""
    columns: Columns = {}
    for column, values in texts.items():
        if in_cells and (column == OTHER or _is_nested(values)):
            _add_paths(columns, values, "" if column == OTHER else column, rows)
        else:
            columns[column] = values
    return columns


def _is_nested(values: list[str | None]) -> bool:
    """Return whether texts are objects or lists in JSON."""
    present = [value for value in values if value][:50]
    return bool(present) and all(_decoded(value) is not None for value in present)


def _decoded(text: str) -> Any:
    if text[:1] not in {"{", "["}:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict | list) else None


def _add_paths(columns: Columns, values: list[str | None], above: str, rows: int) -> None:
    for number, text in enumerate(values):
        content = _decoded(text) if text else None
        for path, value in _paths(content, above):
            texts = columns.setdefault(path, [None] * rows)
            if texts[number] is None:
                texts[number] = value


def _paths(content: Any, above: str, depth: int = 0) -> Iterator[tuple[str, str | None]]:
    """Yield the dotted path of each scalar below a value, and its text."""
    if isinstance(content, dict) and depth <= DEEPEST:
        for key, value in content.items():
            yield from _paths(value, f"{above}.{key}" if above else key, depth + 1)
    elif isinstance(content, list) and above and ELEMENT not in above:
        for value in content[:MOST_ELEMENTS]:
            if not isinstance(value, list):  # an object, or a plain value
                yield from _paths(value, f"{above}{ELEMENT}", depth + 1)
    elif above and content is not None and not isinstance(content, dict | list):
        yield above, content if isinstance(content, str) else json.dumps(content)
