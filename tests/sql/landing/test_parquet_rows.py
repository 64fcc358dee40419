"""Values of a Parquet file as text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sql.landing.landing import RawFile
from sql.landing.parquet_rows import open_parquet, parquet_blocks

SECONDS = [None, 0, -1, 978_300_019, -62_135_596_800, 253_402_300_799]  # years 1 to 9999


def texts(column: pa.Array, folder: Path) -> list[str | None]:
    """Return the texts of a column that was written to a file and landed."""
    pq.write_table(pa.table({"a": column}), folder / "a.parquet")
    file = RawFile(1, folder / "a.parquet", "a.parquet")
    source, rows = open_parquet(file, limit=1000)
    return [
        text for block in parquet_blocks(file, source, rows, 1000) for text in block.columns[0].to_pylist()
    ]


@pytest.mark.parametrize(("unit", "per_second"), [("ms", 10**3), ("us", 10**6)])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_timestamps_become_the_text_that_arrow_gives_them(
    unit: str, per_second: int, zone: str | None, tmp_path: Path
) -> None:
    values = [None if second is None else second * per_second + 7 for second in SECONDS]
    column = pa.array(values, pa.timestamp(unit, zone))
    assert texts(column, tmp_path) == column.cast(pa.string()).to_pylist()


def test_a_timestamp_beyond_the_calendar_is_no_other_date(tmp_path: Path) -> None:
    [text] = texts(pa.array([2**63 - 1], pa.timestamp("us", "UTC")), tmp_path)
    assert text is not None
    assert "out of range" in text
