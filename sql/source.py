"""The configuration of a source of interaction logs: files, columns, clock and rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from itertools import chain
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from sql.reading import Reading, Section
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
    """[source]: where the logs are, and how their rows become interactions; of several, [[source]]."""

    name: str = Field(
        "",
        pattern=f"^(?:{NAME.pattern})?$",
        description="The source's name, which each of several sources ([[source]]) needs.",
    )
    path: str | tuple[str, ...] = Field(description="A file, folder, glob or URL-style address, or several.")
    event_type: str | None = Field(
        None, min_length=1, description="Kind of all events of the source, instead of columns.event_type."
    )
    item_separator: str | None = Field(
        None, min_length=1, description="Separator of several items in one value; each is an event."
    )
    file_date: str | None = Field(
        None,
        description="strptime pattern of the date in a file's name, such as %Y-%m-%d. Files dated after the "
        "run are skipped; events over a day after their file's date are quarantined (timestamp_after_file).",
    )
    appended: bool = Field(
        False,
        description="Whether programs append lines to the files (text that is not compressed): only what was "
        "added is read, up to the end of the last line.",
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

    @property
    def section(self) -> str:
        """The source in messages and keys of overrides: source, or source.orders if it has a name."""
        return f"source.{self.name}" if self.name else "source"

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

    @model_validator(mode="after")
    def _growing_text(self) -> Source:
        if self.appended and self.fill_down:
            raise ValueError("expected appended or fill_down, got both: what was added has no row above it")
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

    @field_validator("event_type")
    @classmethod
    def _printable_type(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise ValueError(f"expected a text that can be printed, got {value!r:.100}")
        return value

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
        return self

    @model_validator(mode="after")
    def _known_types(self) -> Source:
        if self.event_type is not None and self.columns.event_type is not None:
            raise ValueError("expected event_type (of all events) or columns.event_type, got both")
        if self.event_weights and self.event_type is None and self.columns.event_type is None:
            raise ValueError("event_weights needs columns.event_type or event_type")
        if self.event_weights and self.event_type not in {None, *self.event_weights}:
            raise ValueError(
                f"event_type: expected one of event_weights ({', '.join(sorted(self.event_weights))}), "
                f"got {self.event_type!r}"
            )
        return self
