"""The columns of a table's files by their numbers, under the names that the table has for them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from sql.errors import SourceError
from sql.landing.columnar.field_ids import table_names
from sql.landing.landing import FieldNames


def numbered(name: str, number: int | None, kind: pa.DataType | None = None) -> pa.Field:
    metadata = None if number is None else {"PARQUET:field_id": str(number)}
    return pa.field(name, pa.string() if kind is None else kind, metadata=metadata)


def test_columns_are_known_by_their_numbers() -> None:
    schema = pa.schema([numbered("user", 1), numbered("sku", 2), numbered("old", 3), numbered("more", None)])
    # sku was renamed, and old dropped before another column got the name
    names = FieldNames({1: "user", 2: "item", 4: "old"})
    assert table_names("a", schema, names) == ["user", "item", None, None]


def test_columns_without_numbers_are_known_by_the_names_that_a_table_maps() -> None:
    schema = pa.schema([numbered("sku", None), numbered("user", None), numbered("gone", None)])
    names = FieldNames({1: "user", 2: "item"}, {"user": "user", "sku": "item", "item": "item"})
    assert table_names("a", schema, names) == ["item", "user", None]
    with pytest.raises(SourceError, match=r"^a: its columns have no field ids, and its table no"):
        table_names("a", schema, FieldNames({1: "user"}))


@pytest.mark.parametrize(
    ("by_id", "message"),
    [
        ({1: "p", 2: "sku"}, r"^a: p\.id is p\.sku in its table now; expected equal names inside of objects"),
        ({1: "p"}, r"^a: p\.id is no longer in its table; expected"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda kind: kind, pa.list_, lambda kind: pa.map_(pa.string(), kind)])
def test_other_names_inside_of_objects_are_refused(wrap, by_id: dict[int, str], message: str) -> None:
    inner = pa.struct([numbered("id", 2)])
    schema = pa.schema([numbered("p", 1, wrap(inner))])
    assert table_names("a", schema, FieldNames({1: "p", 2: "id"})) == ["p"]
    assert table_names("a", schema, FieldNames({3: "q"})) == [None]  # the whole object is gone
    with pytest.raises(SourceError, match=message):
        table_names("a", schema, FieldNames(by_id))
