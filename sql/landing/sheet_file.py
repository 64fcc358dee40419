"""Workbooks (Excel, OpenDocument) to rows: the sheets one behind another, cell by cell as text."""

from __future__ import annotations

import datetime as dt
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import python_calamine

from sql.errors import SourceError
from sql.landing.columns import absent_columns
from sql.landing.compression import require_proportion
from sql.landing.csv_file import named
from sql.landing.landing import RawFile, Wanted
from sql.landing.row_writer import LandedFile, RowWriter
from sql.landing.text_rows import EXCERPT, Reject, double_text, is_inexact
from sql.reading import Reading

BATCH = 1 << 14  # rows
Row = tuple[int, list[Any]]


def land_sheets(file: RawFile, reading: Reading, wanted: Wanted, folder: Path) -> LandedFile:
    """Write the rows of a workbook; see `land_file`.

    A row's line is its number in its sheet; those of further sheets are numbered on.
    """
    _require_size(file, reading.max_expansion)
    writer: RowWriter | None = None
    header: tuple[str, ...] = ()
    before = 0  # rows of earlier sheets
    try:
        for name, cells, height in _sheets(file, reading):
            columns, rows = _header(file, name, cells, reading)
            if writer is None:
                header, absent = columns, absent_columns(file, columns, wanted)
                writer = RowWriter(file, columns, reading, wanted, folder)
                writer.landed.absent = absent
            elif columns != header:
                raise SourceError(
                    f"{file.name}: expected the same columns in each sheet, got others in {name!r}; with "
                    "sheet = ... only that one is read"
                )
            _write(writer, ((before + number, row) for number, row in rows), header, wanted)
            before += height
    finally:
        landed = LandedFile(file.file_id, wanted.columns) if writer is None else writer.close()
    return landed


def _require_size(file: RawFile, limit: int) -> None:
    """Raise SourceError if a workbook's archive, which most are, expands out of proportion."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            held = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, LookupError, struct.error):
        return  # of the old Excel, or damaged, which its reader says
    require_proportion(file.name, held, file.path.stat().st_size, limit)


def _sheets(file: RawFile, reading: Reading) -> Iterator[tuple[str, Iterator[Row], int]]:
    """Yield the sheets that have cells: their names, their rows that are not blank, their last row."""
    try:
        workbook = python_calamine.CalamineWorkbook.from_path(file.path)
        names = [
            sheet.name
            for sheet in workbook.sheets_metadata
            if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
        ]
        if reading.sheet is not None and reading.sheet not in names:
            raise SourceError(
                f"{file.name}: expected a sheet {reading.sheet!r}; known: {', '.join(names)[:EXCERPT]}"
            )
        for name in names if reading.sheet is None else [reading.sheet]:
            sheet = workbook.get_sheet_by_name(name)
            if sheet.end is not None:
                yield name, _rows(sheet), sheet.end[0] + 1
    except SourceError:
        raise
    except BaseException as error:  # a panic of the library is none of Python's exceptions
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise SourceError(f"{file.name}: not a readable workbook: {reason}") from None


def _rows(sheet: python_calamine.CalamineSheet) -> Iterator[Row]:
    for number, cells in enumerate(sheet.iter_rows(), start=1):  # with blank ones before the first
        if any(cell != "" for cell in cells):
            yield number, cells


def _header(
    file: RawFile, sheet: str, rows: Iterator[Row], reading: Reading
) -> tuple[tuple[str, ...], Iterator[Row]]:
    """Return the names of a sheet's columns, and the rows below them."""
    rows = (row for row in rows if row[0] > reading.skip_lines)
    if not reading.header:
        return reading.column_names, rows
    number, cells = next(rows, (0, []))
    if not number:
        raise SourceError(f"{file.name}: expected a header in sheet {sheet!r}, got no rows")
    return named([_text(cell) or "" for cell in cells]), rows


def _write(writer: RowWriter, rows: Iterator[Row], columns: Sequence[str], wanted: Wanted) -> None:
    """Write the rows of a sheet, batch by batch."""
    ids = [index for index, name in enumerate(columns) if name in wanted.ids]
    numbers: list[int] = []
    texts: list[list[str | None]] = []
    rejects: list[Reject] = []

    def flush() -> None:
        arrays = [pa.array(column, pa.string()) for column in zip(*texts, strict=True)]
        writer.rows(numbers, arrays)
        writer.reject(rejects)
        for batch in (numbers, texts, rejects):
            batch.clear()

    for number, cells in rows:
        row = [_text(cell) for cell in cells]
        if rule := _broken(row, cells, ids, len(columns)):
            rejects.append(Reject(number, rule, ", ".join(text or "" for text in row)[:EXCERPT]))
        else:
            numbers.append(number)
            texts.append(row[: len(columns)] + [None] * (len(columns) - len(row)))
        if len(numbers) + len(rejects) >= BATCH:
            flush()
    flush()


def _broken(row: Sequence[str | None], cells: Sequence[Any], ids: Sequence[int], width: int) -> str | None:
    """Return the rule that a row breaks, None if it is sound."""
    if any(row[width:]):
        return "ragged_line"
    if any("\0" in text for text in row if text):
        return "nul_byte"
    inexact = any(is_inexact(cells[index]) for index in ids if index < len(cells))
    return "inexact_id" if inexact else None


def _text(cell: Any) -> str | None:
    """Return a cell as text: whole numbers without a fraction, times as in ISO 8601."""
    match cell:
        case str():
            return cell or None
        case bool():
            return str(cell).lower()
        case float():
            return double_text(cell)
        case dt.datetime():
            return cell.isoformat(" ")
        case dt.date() | dt.time():
            return cell.isoformat()
    return str(cell)
