"""Records of Python values as rows of text."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sql.errors import SourceError
from sql.landing.landing import RawFile, Wanted
from sql.landing.objects.records import record_batches

WANTED = Wanted(("user", "items[].id"), ids=frozenset(["user"]), scalars=frozenset(["user"]), list_of="items")


def landed(records: list[dict[str, Any]], wanted: Wanted, folder: Path, limit: int = 200) -> tuple[list, ...]:
    path = folder / "records"
    path.write_bytes(b"x" * 100)
    lines, rows, rejects = [], [], []
    for batch in record_batches(RawFile(1, path, "records"), records, wanted, limit):
        lines, rows, rejects = lines + batch[0], rows + batch[1], rejects + batch[2]
    return lines, rows, [(reject.line, reject.rule) for reject in rejects]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        ("漢", "漢"),
        (7, "7"),
        (2**63, "9223372036854775808"),
        (17850.0, "17850"),
        (0.5, "0.5"),
        (True, "true"),
        (b"text", "text"),
        (Decimal("4.50"), "4.50"),
        (Decimal("1E+3"), "1000"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC), "2026-01-02T03:04:05.000678+00:00"),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001 - a local time
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ([1, {"a": None}], '["1", {"a": null}]'),
    ],
)
def test_a_value_becomes_its_text(value: Any, text: str | None, tmp_path: Path) -> None:
    _, rows, rejects = landed([{"user": value}], Wanted(("user",)), tmp_path)
    assert (rows, rejects) == ([[text, None]], [])


def test_each_element_of_a_list_is_a_row_and_what_is_not_wanted_stays_in_the_last_column(
    tmp_path: Path,
) -> None:
    record = {"user": 1, "items": [{"id": "a"}, {"id": "b"}], "page": 3}
    lines, rows, _ = landed([record, {"user": 2, "items": []}], WANTED, tmp_path)
    assert lines == [1, 1, 2]
    assert [row[:3] for row in rows] == [["1", "a", "1"], ["1", "b", "2"], ["2", None, "0"]]
    assert '"page": "3"' in rows[0][3]


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"user": 2.0**53 + 2}, "inexact_id"),
        ({"user": float("inf")}, "inexact_id"),
        ({"user": b"\xff"}, "bad_encoding"),
        ({"user": "a\0"}, "nul_byte"),
        ({"user": [1]}, "nested_value"),
        ({"user": 1, "items": 5}, "not_a_list"),
        ({"user": 1, "other": "x" * (1 << 21)}, "line_too_long"),
    ],
)
def test_a_record_that_is_no_row_is_rejected_by_a_rule(
    record: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    lines, _, rejects = landed([{"user": 1}, record, {"user": 3}], WANTED, tmp_path, limit=1 << 20)
    assert (lines, rejects) == ([1, 3], [(2, rule)])


def test_records_out_of_proportion_to_their_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="raise max_expansion"):
        landed([{"user": "x" * 1000}] * 40_000, WANTED, tmp_path)
