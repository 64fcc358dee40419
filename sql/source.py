"""The configuration of a source of interaction logs: files, columns, clock and rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from itertools import chain
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sql.timestamps import file_date, require_time_format

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Valid names of rules and attributes: they become SQL identifiers and file names."""

EVENT_COLUMNS = (
    "user_id",
    "item_id",
    "timestamp",
    "event_date",
    "event_type",
    "value",
    "weight",
    "session_id",
    "position",
)
"""The columns of every interaction; configured attributes are added to them."""

CANONICAL = (
    *EVENT_COLUMNS,
    "file_id",
    "line",
    "rest",
    "raw",
    "rule",
    "outcome",
)
"""Reserved column names of the interactions table: no attribute can use one."""

ELEMENT = "[]"
"""Marks a list in a path, and is the column with the number of an element in it: from 1, 0 for none."""

NO_ELEMENTS = "no_elements"
"""The built-in rule that excludes lines whose list of items is empty."""

FORGOTTEN = "forgotten"
"""The built-in rule that excludes the rows of forgotten users."""

Format = Literal["auto", "csv", "jsonl", "parquet"]
Quoting = Literal["standard", "none"]
IdType = Literal["string", "int64"]
Mark = Literal["auto", ".", ","]
Thousands = Literal["", ".", ",", " ", "'", "_"]


@cache
def _zones() -> frozenset[str]:
    """Return the names of all time zones, read from some 600 files."""
    return frozenset(available_timezones())


def list_of(paths: Iterable[str]) -> str | None:
    """Return the path of the list that these paths go through, None if there is none.

    Raises
    ------
    ValueError
        If they go through several lists, or lists in lists.
    """
    through = {path: path.partition(ELEMENT) for path in paths if ELEMENT in path}
    lists = sorted({before for before, _, _ in through.values()})
    deeper = next((path for path, (_, _, rest) in through.items() if ELEMENT in rest), None)
    if deeper or len(lists) > 1 or lists == [""]:
        got = repr(deeper) if deeper else ", ".join(f"{path}{ELEMENT}" for path in lists)
        raise ValueError(f"expected columns of one list, such as items[].id and items[].price, got {got}")
    return lists[0] if lists else None


class Section(BaseModel):
    """A section of the configuration; frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Reading(Section):
    """How to read one kind of file; shared by logs and catalogues."""

    format: Format = Field("auto", description="csv, jsonl or parquet; auto decides by the file's suffix.")
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=4,
        description="Field separator of CSV files; by default a tab in .tsv files, a comma in others.",
    )
    quoting: Quoting = Field(
        "standard",
        description="standard: quotes enclose fields of CSV files (RFC 4180); none: they are text.",
    )
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Character before a quote that is text; by default a backslash (Spark) in lines that are "
        "no rows without it. With quoting = none, it comes before a delimiter that is text.",
    )
    skip_lines: int = Field(
        0, ge=0, le=1000, description="Lines before the header (or first row) of CSV files."
    )
    encoding: str = Field("utf-8", description="Character encoding of CSV and JSON lines.")
    header: bool = Field(True, description="Whether a CSV file's first line names its columns.")
    column_names: tuple[str, ...] = Field((), description="Column names of CSV files without a header.")
    null_values: tuple[str, ...] = Field(
        ("", "NULL", "null", "NaN", "nan", "None", "(not set)", "\\N"),
        description="Texts that mean 'no value'.",
    )
    trim_ids: bool = Field(False, description="Whether to remove spaces around ids.")
    lower_ids: bool = Field(False, description="Whether to turn ids into small letters.")
    fill_down: tuple[str, ...] = Field(
        (), description="Columns whose empty values are those of the row above, as in exports of orders."
    )
    fill_down_within: str | None = Field(
        None, description="Column, such as an order's number, within which fill_down fills."
    )
    max_expansion: int = Field(
        200,
        ge=1,
        description="A file that expands to more than 32 MiB and more than this many times its size is "
        "refused as a bomb.",
    )

    def delimiter_of(self, name: str) -> str:
        """Return the field separator of a CSV file of this name."""
        return self.delimiter or ("\t" if ".tsv" in name.lower()[-8:] else ",")

    @field_validator("delimiter", "escape")
    @classmethod
    def _valid_delimiter(cls, value: str | None) -> str | None:
        if value and any(letter in value for letter in '\r\n"\0'):
            raise ValueError(f"expected a character other than a quote or line end, got {value!r}")
        return value

    @field_validator("escape")
    @classmethod
    def _ascii_escape(cls, value: str | None) -> str | None:
        if value and not (value.isascii() and value.isprintable()):
            raise ValueError(f"expected a printable ASCII character such as a backslash, got {value!r}")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(
                f"expected a character encoding such as utf-8 or latin-1, got {value!r}"
            ) from None
        return value

    @model_validator(mode="after")
    def _names_without_header(self) -> Reading:
        if not self.header and not self.column_names:
            raise ValueError("header = false needs column_names = [...]")
        if self.header and self.column_names:
            raise ValueError("column_names are for files without a header; set header = false")
        return self


class Columns(Section):
    """The source's column for each field of an interaction."""

    user: str = Field(description="The user's id.")
    item: str = Field(description="The item's id.")
    timestamp: str | tuple[str, ...] = Field(
        description="When the event happened; of several columns, as date and time, the texts are joined."
    )
    event_type: str | None = Field(None, description="Kind of event: view, purchase...")
    value: str | None = Field(None, description="Rating or another value of the event.")
    weight: str | None = Field(None, description="A factor on the strength of the event.")
    session: str | None = Field(None, description="The session's id.")
    position: str | None = Field(None, description="Order of a user's events with equal timestamps.")

    @property
    def times(self) -> tuple[str, ...]:
        """The columns of the timestamp."""
        return (self.timestamp,) if isinstance(self.timestamp, str) else self.timestamp

    def mapped(self) -> dict[str, tuple[str, ...]]:
        """Return canonical name -> source columns, for the mapped columns; only a time has several."""
        return {
            name: column if isinstance(column, tuple) else (column,)
            for name, column in self
            if column is not None
        }

    @field_validator("timestamp")
    @classmethod
    def _nonempty(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value:
            raise ValueError("expected one column or several, got none")
        return value


class Rule(Section):
    """A named SQL predicate over the columns of an interaction."""

    name: Annotated[str, Field(pattern=f"^(?:{NAME.pattern})$", description="The rule's name in reports.")]
    where: Annotated[str, Field(min_length=1, description="Rows that satisfy this predicate break the rule.")]


class Source(Reading):
    """[source]: where the logs are, and how their rows become interactions."""

    path: str | tuple[str, ...] = Field(description="A file, folder, glob or URL-style address, or several.")
    item_separator: str | None = Field(
        None, min_length=1, description="Separator of several items in one value; each is an event."
    )
    file_date: str | None = Field(
        None,
        description="strptime pattern of the date in a file's name, such as %Y-%m-%d. Files dated after the "
        "run are skipped; events over a day after their file's date are quarantined (timestamp_after_file).",
    )
    settle_seconds: int = Field(
        0,
        ge=0,
        description="Files changed less than so many seconds ago are not read yet: they may change again.",
    )
    columns: Columns
    attributes: dict[str, str] = Field({}, description="Further columns to keep: name -> source column.")
    user_id_type: IdType = Field("string", description="Type of user ids; int64 reads 17850.0 as 17850.")
    item_id_type: IdType = Field("string", description="Type of item ids.")
    timestamp_format: str | tuple[str, ...] = Field(
        "iso",
        description="iso, epoch_s, epoch_ms, epoch_us, epoch_ns or a strptime pattern; of several, the first "
        "that reads a text counts.",
    )
    decimal: Mark = Field(
        "auto",
        description="Decimal mark of value and weight; auto reads 4.5 and 4,5, and quarantines what could be "
        "thousands (1,234).",
    )
    thousands: Thousands = Field("", description="Mark between thousands in value and weight.")
    time_zone: str = Field("UTC", description="Time zone of timestamps without one, and of midnight.")
    event_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {}, description="Strength of each event type; if set, other types are quarantined."
    )
    min_date: date = Field(date(1990, 1, 1), description="Earlier events are quarantined.")
    max_date: date = Field(date(2100, 1, 1), description="Later events are quarantined.")
    quarantine: tuple[Rule, ...] = Field((), description="Rows that break any of these are quarantined.")
    exclude: tuple[Rule, ...] = Field((), description="Rows to leave out on purpose, counted by rule.")

    def exclusion_rules(self) -> list[str]:
        """Return the names of all rules that exclude rows, including the built-in one."""
        built_in = [FORGOTTEN] if self.list_of is None else [FORGOTTEN, NO_ELEMENTS]
        return [*(rule.name for rule in self.exclude), *built_in]

    @property
    def list_of(self) -> str | None:
        """The path of the list whose elements are events, None if lines are events."""
        return list_of([*chain(*self.columns.mapped().values()), *self.attributes.values()])

    @property
    def has_elements(self) -> bool:
        """Whether several events can come from one line."""
        return self.list_of is not None or self.item_separator is not None

    @model_validator(mode="after")
    def _one_list(self) -> Source:
        if self.list_of is not None and self.item_separator is not None:
            raise ValueError(f"expected item_separator or a list ({self.list_of}[]), got both")
        return self

    @field_validator("path")
    @classmethod
    def _nonempty_path(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value or not all(value if isinstance(value, tuple) else (value,)):
            raise ValueError("expected a file, folder, glob or address, got nothing")
        return value

    @field_validator("file_date")
    @classmethod
    def _known_pattern(cls, value: str | None) -> str | None:
        day, problem = (
            date(2026, 11, 16),
            "it tells no day, week, month or year",
        )  # a Monday: weeks begin there
        try:
            if value is None or file_date(day.strftime(value), value) in {
                day,
                date(2026, 11, 1),
                date(2026, 1, 1),
            }:
                return value
        except (ValueError, re.error) as error:  # re.error: a repeated directive
            problem = str(error)
        raise ValueError(f"expected a strptime pattern such as %Y-%m-%d, got {value!r:.100}: {problem}")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in _zones():
            raise ValueError(f"expected an IANA time zone such as Europe/London, got {value!r}")
        return ZoneInfo(value).key

    @property
    def time_formats(self) -> tuple[str, ...]:
        """The formats of timestamps, in the order in which they are tried."""
        formats = self.timestamp_format
        return (formats,) if isinstance(formats, str) else formats

    @field_validator("timestamp_format")
    @classmethod
    def _known_formats(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value:
            raise ValueError("expected one format or several, got none")
        for pattern in (value,) if isinstance(value, str) else value:
            require_time_format(pattern)
        return value

    @model_validator(mode="after")
    def _distinct_marks(self) -> Source:
        if self.thousands and self.thousands == self.decimal:
            raise ValueError(f"expected different marks, got {self.decimal!r} for decimals and thousands")
        return self

    @model_validator(mode="after")
    def _valid_names(self) -> Source:
        for name in self.attributes:
            if not NAME.fullmatch(name) or name in CANONICAL:
                raise ValueError(
                    f"attribute {name!r}: expected an unreserved name of a-z, 0-9 and _, got {name!r}"
                )
        names = [rule.name for rule in (*self.quarantine, *self.exclude)]
        if len(set(names)) != len(names):
            raise ValueError(f"expected distinct rule names, got {names}")
        if built_in := {FORGOTTEN, NO_ELEMENTS} & set(names):
            raise ValueError(f"expected a rule name other than {min(built_in)!r}, which is built in")
        if self.event_weights and self.columns.event_type is None:
            raise ValueError("event_weights needs columns.event_type")
        return self
