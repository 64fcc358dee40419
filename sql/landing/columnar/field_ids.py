"""The names that a table has for the columns of a file, which knows them by numbers (Iceberg)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sql.errors import SourceError
from sql.landing.landing import FieldNames

FIELD_ID = b"PARQUET:field_id"


def table_names(file: str, schema: pa.Schema, names: FieldNames) -> list[str | None]:
    """Return the table's names of a file's columns, in order; None for those that it no longer has.

    `file` is the file's name in messages.

    Raises
    ------
    SourceError
        If values inside of objects have other names in the table, or nothing tells which columns of
        the table those of the file are.
    """
    ids = [_id_of(field) for field in schema]
    unnumbered = all(number is None for number in ids)
    if unnumbered and not names.aliases:
        raise SourceError(
            f"{file}: its columns have no field ids, and its table no name mapping, so nothing tells which "
            "they are; expected files that were written to the table: write its current rows to another one"
        )
    for number, field in zip(ids, schema, strict=True):
        if number in names.by_id:
            _require_same_names(file, field.name, _fields_in(field.type), names)
    if unnumbered:
        return [names.aliases.get(name) for name in schema.names]
    return [None if number is None else names.by_id.get(number) for number in ids]


def _require_same_names(file: str, above: str, fields: Iterator[pa.Field], names: FieldNames) -> None:
    for field in fields:
        number = _id_of(field)
        known = None if number is None else names.by_id.get(number, "")
        if known is not None and known != field.name:
            raise SourceError(
                f"{file}: {above}.{field.name} is "
                + (f"{above}.{known} in its table now" if known else "no longer in its table")
                + "; expected equal names inside of objects: write the table's current rows to another one"
            )
        _require_same_names(file, f"{above}.{field.name}", _fields_in(field.type), names)


def _fields_in(kind: Any) -> Iterator[pa.Field]:
    """Yield the fields of the objects in a type; elements of lists and maps have no name of their own."""
    if pa.types.is_struct(kind):
        yield from (kind.field(index) for index in range(kind.num_fields))
    elif pa.types.is_map(kind):
        yield from _fields_in(kind.item_type)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _fields_in(kind.value_type)


def _id_of(field: pa.Field) -> int | None:
    text = (field.metadata or {}).get(FIELD_ID)
    return None if text is None else int(text)
