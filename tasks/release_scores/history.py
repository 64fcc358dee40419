"""The scores of earlier nights, which each release takes over from the one before."""

from __future__ import annotations

from datetime import date
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.release.releases import Release
from tasks.release.tables import RELEASE_SCORES, IdTypes
from tasks.runtime.errors import StoreError

NIGHTS: Final = 90  # in the table, tonight's among them


def earlier_nights(before: Release, as_of: date, ids: IdTypes) -> pa.Table:
    """Return the rows of the last NIGHTS - 1 nights before `as_of` in the table of a release.

    There are none if the release lacks the table, or one of its columns. StoreError if the file is
    damaged.
    """
    path, schema = before.table(RELEASE_SCORES.name), RELEASE_SCORES.schema(ids)
    if not path.is_file():
        return schema.empty_table()
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            rows = file.read()
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    if not set(schema.names) <= set(rows.column_names):
        return schema.empty_table()
    earlier = rows.select(schema.names).filter(pc.field("as_of") < as_of)
    kept = sorted(set(earlier["as_of"].to_pylist()))[-(NIGHTS - 1) :]
    return earlier.filter(pc.is_in(earlier["as_of"], pa.array(kept, pa.date32()))).cast(schema)
