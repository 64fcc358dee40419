"""The contract of the release's tables: documented columns, types of ids."""

from __future__ import annotations

import pyarrow as pa
import pytest
from worlds.paths import ROOT

from tasks.release.tables import TABLES, IdTypes, markdown, table
from tasks.runtime.errors import UserError

DOCS = ROOT / "docs/tables.md"


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_documented_with_type_and_unit(name: str) -> None:
    assert markdown(table(name)) in DOCS.read_text(encoding="utf-8")


def test_ids_are_int64_or_string() -> None:
    with pytest.raises(UserError, match="expected item_id of type int64 or string, got double"):
        IdTypes(item=pa.float64())
