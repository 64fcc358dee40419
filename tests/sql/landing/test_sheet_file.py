"""Workbooks: where the header is, which sheets are read, and what cells become."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from sql.errors import SourceError
from sql.landing.landed_file import land_file
from sql.landing.landing import RawFile, Wanted
from sql.reading import Reading

HEAD = ["user", "item", "n"]


def landed(folder: Path, sheets: dict[str, list[list[Any]]], **reading: Any) -> list[tuple[Any, ...]]:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    path = folder / "book.xlsx"
    book.save(path)
    file = land_file(RawFile(1, path, path.name), Reading(**reading), Wanted(("user", "item")), folder)
    assert file.columns == (*HEAD,)
    return [tuple(row.values())[1:] for row in pq.read_table(file.path).to_pylist()]


def test_lines_above_the_header_are_skipped_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    rows = [["Export of 1 January"], [], HEAD, ["a", 1, None], [], ["b", 2, None]]
    assert landed(tmp_path, {"A": rows}, skip_lines=2) == [(4, "a", "1", None), (6, "b", "2", None)]


def test_names_may_come_from_the_configuration(tmp_path: Path) -> None:
    found = landed(tmp_path, {"A": [["a", 1]]}, header=False, column_names=HEAD)
    assert found == [(1, "a", "1", None)]


def test_one_sheet_can_be_named(tmp_path: Path) -> None:
    sheets = {"Notes": [["remark"], ["none"]], "Orders": [HEAD, ["a", 1, 2]]}
    assert landed(tmp_path, sheets, sheet="Orders") == [(2, "a", "1", "2")]


def test_rows_of_further_sheets_are_numbered_on(tmp_path: Path) -> None:
    sheets = {"A": [HEAD, ["a", 1, None]], "Empty": [], "B": [[], HEAD, ["b", 2, None]]}
    assert [row[:2] for row in landed(tmp_path, sheets)] == [(2, "a"), (5, "b")]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (dt.datetime(2010, 12, 1, 8, 26), "2010-12-01 08:26:00"),  # noqa: DTZ001 - cells have no zone
        (dt.date(2010, 12, 1), "2010-12-01"),
        (dt.time(8, 26), "08:26:00"),
        (4.25, "4.25"),
        (1e15, "1000000000000000"),
        (True, "true"),
        ("0012", "0012"),
        (" padded ", " padded "),
    ],
)
def test_a_cell_becomes_text(cell: Any, text: str, tmp_path: Path) -> None:
    assert landed(tmp_path, {"A": [HEAD, ["a", "b", cell]]}) == [(2, "a", "b", text)]


@pytest.mark.parametrize(
    ("sheets", "reading", "message"),
    [
        ({"A": [HEAD, ["a", 1, 2]]}, {"sheet": "B"}, "expected a sheet 'B'; known: A"),
        ({"A": [["user", "user", "n"]]}, {}, "expected column 'user' once"),
        ({"A": [["u", "item", "n"]]}, {}, "expected column 'user'; known: u, item, n"),
        ({"A": [HEAD]}, {"skip_lines": 1}, "expected a header in sheet 'A', got no rows"),
    ],
)
def test_what_cannot_be_read_is_said(
    sheets: dict[str, list[list[Any]]], reading: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=message):
        landed(tmp_path, sheets, **reading)
