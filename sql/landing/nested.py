"""Values inside of objects and lists, by paths such as `properties.product_id` and `items[].item_id`.

A path through a list makes one row of each element. A column whose name is the whole path comes
first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sql.errors import SourceError
from sql.landing.landing import Wanted
from sql.source import ELEMENT

LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def value_at(content: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path of keys in a JSON object, None if there is none."""
    if path in content or "." not in path:
        return content.get(path)
    inner: Any = content
    for key in path.split("."):
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner


def elements_of(content: Mapping[str, Any], wanted: Wanted) -> list[tuple[int, Any]] | None:
    """Return the numbered elements of the wanted list of an object; [(0, None)] without any.

    None if something else is there.
    """
    if wanted.list_of is None:
        return [(0, None)]
    values = value_at(content, wanted.list_of)
    if values is None or values == []:
        return [(0, None)]
    return list(enumerate(values, 1)) if isinstance(values, list) else None


def value_of(content: Mapping[str, Any], element: Any, path: str) -> Any:
    """Return the value of a wanted path in an object, or in this element of its list."""
    _, through, rest = path.partition(ELEMENT)
    if not through or path in content:
        return value_at(content, path)
    if not rest:
        return element
    return value_at(element, rest.removeprefix(".")) if isinstance(element, dict) else None


class Expansion:
    """The columns of an Arrow schema and those that wanted paths lead to.

    Attributes
    ----------
    names
        The names of all columns after `expand`.
    """

    def __init__(self, name: str, schema: pa.Schema, wanted: Wanted) -> None:
        self._file, self._schema = name, schema
        self._paths = [path for path in wanted.columns if path not in schema.names and self._kind(path)]
        self._list = wanted.list_of if any(ELEMENT in path for path in self._paths) else None
        self._top = (self._list or "").partition(".")[0]
        plain = [column for column in schema.names if self._list is None or column != self._top]
        self._plain = plain
        self.names = (*plain, *self._paths, *([ELEMENT, f"{self._list}{ELEMENT}"] if self._list else []))
        if self._list and f"{self._list}{ELEMENT}" in self._paths:
            self.names = self.names[:-1]

    def expand(self, batch: Any) -> tuple[list[Any], Any]:
        """Return the columns of a batch, and the row of the batch that each row comes from (int64)."""
        rows = np.arange(batch.num_rows)
        if self._list is None:
            return [*batch.columns, *(_field(batch, path) for path in self._paths)], rows
        lists = _field(batch, self._list)
        sizes = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        counts = np.maximum(sizes, 1)
        parents = np.repeat(rows, counts)
        numbers = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        numbers[sizes[parents] == 0] = 0
        places = pa.array(np.cumsum(numbers > 0) - 1, mask=numbers == 0)
        elements = lists.flatten().take(places)
        owners = pa.array(parents)
        columns = [batch.column(name).take(owners) for name in self._plain]
        for path in self._paths:
            _, through, rest = path.partition(ELEMENT)
            inner = _inner(elements, rest.removeprefix(".")) if through else _field(batch, path).take(owners)
            columns.append(inner)
        columns.append(pa.array(numbers).cast(pa.string()))
        return ([*columns, elements] if len(self.names) > len(columns) else columns), parents

    def _kind(self, path: str) -> pa.DataType | None:
        """Return the type at a path of the schema, None if there is nothing; SourceError for no list."""
        before, through, rest = path.partition(ELEMENT)
        kind = _kind_at(pa.struct(list(self._schema)), before)
        if not through or kind is None:
            return kind
        if not any(is_kind(kind) for is_kind in LISTS):
            raise SourceError(
                f"{self._file}: expected a list in column {before!r} for {path!r}, got {str(kind)[:200]}"
            )
        return _kind_at(kind.value_type, rest.removeprefix(".")) if rest else kind.value_type


def _kind_at(kind: pa.DataType, path: str) -> pa.DataType | None:
    for key in path.split("."):
        if not pa.types.is_struct(kind) or kind.get_field_index(key) < 0:
            return None
        kind = kind.field(key).type
    return kind


def _field(batch: Any, path: str) -> Any:
    """Return the column of a batch at a path of names; null where a struct on the way is."""
    name, _, rest = path.partition(".")
    return _inner(batch.column(name), rest)


def _inner(column: Any, path: str) -> Any:
    for key in path.split(".") if path else ():
        column = pc.struct_field(column, [key])
    return column
