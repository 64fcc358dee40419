"""The scores of earlier nights, which each release takes over from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.release.releases import Release
from tasks.release.tables import RELEASE_SCORES, IdTypes

NIGHTS: Final = 90  # in the table, tonight's among them


def earlier_nights(before: Release | None, as_of: date, ids: IdTypes) -> Iterator[pa.Table]:
    """Yield the rows of the last NIGHTS - 1 nights before `as_of` in the table of a release.

    Nothing is yielded for a release that lacks the table, or one of its columns.
    """
    path = before.table(RELEASE_SCORES.name) if before else None
    if path is None or not path.is_file():
        return
    with pq.ParquetFile(path) as file:
        rows = file.read()
    schema = RELEASE_SCORES.schema(ids)
    if set(schema.names) <= set(rows.column_names):
        earlier = rows.select(schema.names).filter(pc.field("as_of") < as_of)
        kept = sorted(set(earlier["as_of"].to_pylist()))[-(NIGHTS - 1) :]
        yield earlier.filter(pc.is_in(earlier["as_of"], pa.array(kept, pa.date32()))).cast(schema)
