"""A look at files of one shape: their form, their rows, and the fields recognised in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sql.landing.landing import FORMATS, RawFile, format_suffix
from sql.reading import Reading
from tasks.proposal.guesses.fields import Fields, guess_fields
from tasks.proposal.guesses.form import csv_settings
from tasks.proposal.guesses.times import time_reader
from tasks.proposal.rows import Columns, SampleRows, read_rows
from tasks.proposal.sample import cut, fetched, format_of, head_of, plain_name
from tasks.proposal.shapes import Shape
from tasks.runtime.errors import InputError
from tasks.sources.source_files import SourceFile, redacted


@dataclass
class Look:
    """What was seen of files with one shape of name.

    `settings` are the keys of [source] by which they are read; `by_file` are the rows of each file
    that was looked at.
    """

    shape: Shape
    format: str
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    by_file: list[tuple[SourceFile, Columns]] = field(default_factory=list)
    problem: str | None = None
    _fields: Fields | None = None

    @property
    def columns(self) -> Columns:
        """The columns of all files that were looked at."""
        return together([columns for _, columns in self.by_file])

    @property
    def fields(self) -> Fields:
        """The fields that were recognised."""
        if self._fields is None:
            named = self.settings.get("header", True) or len(self.settings.get("column_names", ())) > 100
            self._fields = guess_fields(self.columns, named=named)
        return self._fields

    def is_like(self, other: Look) -> bool:
        """Return whether files are of one source: read alike, with the same fields.

        If they have the same columns, a field that not every event has may be empty in one of them.
        """
        roles = {*self.fields.columns, *other.fields.columns}
        if set(self.columns) == set(other.columns):
            roles &= {"user", "item", "timestamp"}
        return self._key(roles) == other._key(roles)

    def _key(self, roles: Collection[str]) -> tuple[Any, ...]:
        """Return how files are read, and the columns of some fields."""
        fields = tuple(str(self.fields.columns.get(role)) for role in sorted(roles))
        formats = self.fields.time.formats if self.fields.time else ()
        settings = {key: value for key, value in self.settings.items() if key != "encoding"}
        return self.format, str(settings), fields, formats

    def days(self) -> list[tuple[SourceFile, list[date]]]:
        """Return the days of the events of each file."""
        if self.fields.time is None:
            return []
        column, read = self.fields.columns["timestamp"], time_reader(self.fields.time.formats)
        days = []
        for file, columns in self.by_file:
            parts = [columns.get(name, []) for name in ([column] if isinstance(column, str) else column)]
            texts = [" ".join(map(str, cells)) for cells in zip(*parts, strict=False) if all(cells)]
            days.append((file, [time.date() for text in texts if (time := read(text)) is not None]))
        return days


def look_at(shape: Shape, scratch: Path) -> Look:
    """Look at a few of the files of a shape; what cannot be read becomes the look's `problem`."""
    look = Look(shape, "csv")
    for number, file in enumerate(shape.spread()):
        try:
            _read_into(look, file, scratch / str(number))
        except InputError as error:
            look.problem = look.problem or str(error)
    return look


def _read_into(look: Look, file: SourceFile, scratch: Path) -> None:
    name = redacted(file.address)
    path = fetched(file, scratch / "fetched")
    form = format_of(path, name)
    header: tuple[str, ...] = ()
    if not look.by_file:
        suffix = format_suffix(name)
        look.format, look.settings, look.notes = form, {}, []
        if suffix is None or FORMATS[suffix] != form:
            look.settings["format"] = form
        if form in {"csv", "jsonl"}:
            head = head_of(path, name)
            if head.encoding != "utf-8":
                look.settings["encoding"] = head.encoding
            if form == "csv":
                settings, look.notes = csv_settings(head.text, name)
                look.settings |= settings
    reading = Reading.model_validate(look.settings)
    if form == "csv":
        header = reading.column_names or _header(path, name, reading)
    beginning = cut(path, name, form, reading.encoding, scratch / "cut")
    called = name if beginning == path else plain_name(name)
    raw = RawFile(1, beginning, called, file.partitions, file.field_names)
    rows: SampleRows = read_rows(raw, reading, scratch / "rows", header)
    if rows.rows:
        look.by_file.append((file, rows.columns))


def _header(path: Path, name: str, reading: Reading) -> tuple[str, ...]:
    """Return the names of a CSV file's columns, as far as a plain split tells them."""
    lines = head_of(path, name).text.splitlines()[reading.skip_lines :]
    first = next((line for line in lines if line.strip()), "")
    return tuple(cell.strip().strip('"') for cell in first.split(reading.delimiter_of(name)))


def together(parts: Sequence[Columns]) -> Columns:
    """Return the rows of several files as one set of columns, empty where a file lacks one."""
    names = list(dict.fromkeys(name for columns in parts for name in columns))
    joined: Columns = {name: [] for name in names}
    for columns in parts:
        rows = max((len(texts) for texts in columns.values()), default=0)
        for name in names:
            joined[name] += columns.get(name) or [None] * rows
    return joined
