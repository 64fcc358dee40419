"""The output of commands: tables, never cut even in a pipe; JSON and CSV for scripts; errors."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from tasks.runtime.interruption import interrupted, interruptible
from tasks.runtime.logs import in_json
from tasks.runtime.redaction import clean, redacted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

PIPE_WIDTH = 100_000  # width for a pipe: wider than any table, so no cell is cut or folded

Row = Sequence[Any]


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a user's mistake into `error: ...` on stderr and exit code 1; let defects through.

    Ctrl-C ends the command with exit code 130.
    """
    try:
        with interruptible(partial(note, "interrupted")):
            yield
    except PermissionError as error:
        fail(f"cannot read {error.filename}: permission denied")
    except Exception as error:
        from tasks.runtime.errors import EXPECTED_ERRORS  # late, for a fast `--help`

        if not isinstance(error, EXPECTED_ERRORS):
            clean(error)
            raise
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Print one message to stderr and exit; further lines are indented below the first.

    If stderr is JSON, the message becomes a log line.
    """
    if interrupted():  # a library made an error of Ctrl-C
        raise KeyboardInterrupt
    message = redacted(message)
    if in_json():
        logging.getLogger("nightshelf").error("%s", message)
    else:
        note("error: " + message.replace("\n", "\n       "))
    raise typer.Exit(1)


def note(message: str) -> None:
    """Print a remark to stderr, separate from the output on stdout."""
    if in_json():
        logging.getLogger("nightshelf").warning("%s", message)
        return
    typer.echo("\n".join(escaped(line) for line in message.splitlines()), err=True)


def columns_of(table: Any) -> list[str]:
    """Return the column names of an Arrow table."""
    return list(table.column_names)


def rows_of(table: Any) -> Iterator[Row]:
    """Yield the rows of an Arrow table, converting at most 10,000 to Python objects at a time."""
    for batch in table.to_batches(max_chunksize=10_000):
        try:
            columns = [column.to_pylist() for column in batch.columns]
        except (OverflowError, ValueError) as error:  # such as a date after the year 9999
            from tasks.runtime.errors import UserError

            raise UserError(f"a value cannot be shown ({error}): cast it to VARCHAR") from None
        yield from zip(*columns, strict=True)


def records_of(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a small Arrow table as dictionaries."""
    return [dict(zip(columns_of(table), row, strict=True)) for row in rows_of(table)]


def print_table(columns: Sequence[str], rows: Iterable[Row], title: str | None = None) -> None:
    """Print rows as a table: drawn in a terminal, plain text elsewhere, and never cut.

    Columns of numbers are right-aligned. None becomes an empty cell.
    """
    from rich import box
    from rich.table import Table

    out, rows = console(), [list(row) for row in rows]
    drawn = box.ROUNDED if out.is_terminal else box.SIMPLE_HEAD
    table = Table(title=_text(title) if title else None, title_justify="left", title_style="bold", box=drawn)
    for number, name in enumerate(columns):
        values = [row[number] for row in rows if row[number] is not None]
        right = bool(values) and all(_is_number(value) for value in values)
        table.add_column(_text(name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(as_text(value)) for value in row))
    out.print(table)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values as two columns without a heading."""
    from rich.table import Table

    out = console()
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(_text(name), _text(as_text(value)))
    out.print(table)


def print_line(line: str = "", style: str = "") -> None:
    """Print one line of text, uncut and without markup."""
    from rich.text import Text

    console().print(Text(escaped(line), style=style), soft_wrap=True)


def print_json(document: Any) -> None:
    """Print one JSON document; NaN and infinity become null, dates and times ISO 8601 text."""
    typer.echo(json.dumps(as_json(document), ensure_ascii=not _is_utf8(sys.stdout), allow_nan=False))


def print_csv(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Print rows as CSV with a header (RFC 4180, line feeds); None is an empty field."""
    import csv

    writer = csv.writer(_encodable(sys.stdout), lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_value(value) for value in row] for row in rows)
    sys.stdout.flush()


def console() -> Console:
    """Return a console on stdout; if that is not a terminal, without colour and of any width."""
    from rich.console import Console

    out = _encodable(sys.stdout)
    if out.isatty():
        return Console(file=out, highlight=False, markup=False, emoji=False)
    return Console(
        file=out,
        width=PIPE_WIDTH,
        force_terminal=False,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def as_text(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, list | dict):
        return json.dumps(as_json(value), ensure_ascii=False)
    return str(as_json(value))


def as_json(value: Any) -> Any:
    """Return a value as JSON has it; whole decimals (DuckDB's sums) become whole numbers."""
    plain: Any
    match value:
        case None | bool() | int() | str():
            plain = value
        case float():
            plain = value if math.isfinite(value) else None
        case Decimal():
            plain = int(value) if value == value.to_integral_value() else float(value)
        case dt.date() | dt.time():
            plain = value.isoformat()
        case bytes():
            plain = value.hex()
        case dict():
            plain = {str(key): as_json(item) for key, item in value.items()}
        case list() | tuple():
            plain = [as_json(item) for item in value]
        case _:
            plain = str(value)
    return plain


def escaped(text: str) -> str:
    """Return text with control characters escaped: an item's title cannot steer the terminal."""
    return text if text.isprintable() else "".join(map(_escape_letter, text))


def age(seconds: float) -> str:
    """Return a duration in its two largest units, such as '3 h 20 min'."""
    minutes = int(abs(seconds) // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def _escape_letter(letter: str) -> str:
    shown = letter.isprintable() or unicodedata.category(letter) == "Zs"  # such as the no-break space
    return letter if shown else letter.encode("unicode_escape").decode("ascii")


def _text(text: str) -> Text:
    from rich.text import Text

    return Text(escaped(text))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _csv_value(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(as_json(value), ensure_ascii=False)
    return value if isinstance(value, float | str) else as_json(value)


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def _encodable(stream: TextIO) -> TextIO:
    """Return the stream, set to escape characters that its encoding lacks."""
    if not _is_utf8(stream) and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return stream
