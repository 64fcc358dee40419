"""Values of a Parquet file as text."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sql.landing.columnar.blocks import arrow_blocks
from sql.landing.columnar.parquet_file import open_parquet
from sql.landing.landing import RawFile, Wanted
from sql.landing.nested import Expansion

SECONDS = [None, 0, -1, 978_300_019, -62_135_596_800, 253_402_300_799]  # years 1 to 9999


def texts(column: pa.Array, folder: Path, **options: Any) -> list[str | None]:
    """Return the texts of a column that was written to a file and landed."""
    pq.write_table(pa.table({"a": column}), folder / "a.parquet", **options)
    file = RawFile(1, folder / "a.parquet", "a.parquet")
    source = open_parquet(file, limit=1000)
    expansion = Expansion(file.name, source.schema, Wanted(("a",)))
    return [
        text
        for block in arrow_blocks(file, source, expansion, limit=1000, wanted=Wanted(("a",)))
        for text in block.columns[0].to_pylist()
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


def test_int96_is_an_instant_in_utc_and_does_not_wrap_around(tmp_path: Path) -> None:
    column = pa.array([1_767_607_200_123_456, 32_503_680_000_000_000], pa.timestamp("us"))
    landed = texts(column, tmp_path, use_deprecated_int96_timestamps=True)
    assert landed == ["2026-01-05 10:00:00.123456Z", "3000-01-01 00:00:00.000000Z"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_bytes_of_any_length_are_text(kind: pa.DataType, use_dictionary: bool, tmp_path: Path) -> None:
    column = pa.array([b"42", "漢".encode(), None, b"42"], kind)
    assert texts(column, tmp_path, use_dictionary=use_dictionary) == ["42", "漢", None, "42"]


def test_uuids_have_their_usual_form_and_other_fixed_bytes_are_hexadecimal(tmp_path: Path) -> None:
    number = uuid.UUID(int=5)
    assert texts(pa.array([number.bytes], pa.uuid()), tmp_path) == [str(number)]
    assert texts(pa.array([b"ab"], pa.binary(2)), tmp_path) == ["6162"]


def test_whole_numbers_keep_their_digits(tmp_path: Path) -> None:
    column = pa.array([1e14, 1e15, 2.0**53, -7.0, 0.1, 1e300, None])
    assert texts(column, tmp_path) == [
        "100000000000000", "1000000000000000", "9007199254740992", "-7", "0.1", "1e+300", None,
    ]  # fmt: skip
