"""Which column of a sample is the user, the item, the time...: by its name, then by its content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sql.source import ELEMENT
from tasks.proposal.guesses.events import weight_of
from tasks.proposal.guesses.filling import filled_down
from tasks.proposal.guesses.names import CLOCKS, DAYS, likeness, normal
from tasks.proposal.guesses.times import TimeGuess, guess_time
from tasks.proposal.rows import Columns

Filled = Mapping[str, Sequence[str]]
CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?")
NUMBER: Final = re.compile(r"[+-]?\d[\d.,' ]*")
WHOLE: Final = re.compile(r"(0|[1-9]\d{0,17})(\.0+)?")
FEW: Final = 60
"""Kinds of events that a column may hold."""
MOST_CANDIDATES: Final = 8
OFTEN: Final = 0.8  # of the rows have a user, as the gate expects by default
ALWAYS: Final = 0.95


@dataclass
class Fields:
    """The columns that were recognised, and for those that were not, the candidates.

    `notes` are doubts about a column; `remarks` say why one was taken.
    """

    columns: dict[str, str | list[str]] = field(default_factory=dict)
    time: TimeGuess | None = None
    candidates: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    fill_down: list[str] = field(default_factory=list)
    fill_down_within: str | None = None

    @property
    def missing(self) -> list[str]:
        """The required fields for which no column was recognised."""
        return [role for role in ("user", "item", "timestamp") if role not in self.columns]


def guess_fields(columns: Columns, *, named: bool = True) -> Fields:
    """Return the fields of rows; without names (`named`), columns are taken by content and position."""
    fields = Fields()
    filled = {name: [text for text in texts if text and text.strip()] for name, texts in columns.items()}
    filled = {name: texts for name, texts in filled.items() if texts}
    _guess_times(fields, columns, filled)
    taken = {*_listed(fields.columns.get("timestamp"))}
    for role in ("user", "item"):
        single = {name: texts for name, texts in filled.items() if role == "item" or ELEMENT not in name}
        column = _best(role, single, taken, _rows(columns))
        if column is not None:
            fields.columns[role] = column
            taken.add(column)
        else:
            fields.candidates[role] = [name for name in filled if name not in taken][:MOST_CANDIDATES]
    if not named:
        _by_position(fields, filled, taken)
    for role, candidates in _candidates(_beside(filled, fields.columns.get("item"))).items():
        if role in fields.columns:
            continue
        column = _best(role, candidates, taken, _rows(columns))
        if column is not None:
            fields.columns[role] = column
            taken.add(column)
    if not fields.missing:
        mapped = [fields.columns.get(role) for role in ("user", "timestamp", "event_type")]
        names = [name for column in mapped for name in _listed(column)]
        fields.fill_down, fields.fill_down_within = filled_down(columns, str(fields.columns["item"]), names)
    _prefer_filled_user(fields, filled, taken, _rows(columns))
    return fields


def _prefer_filled_user(fields: Fields, filled: Filled, taken: set[str], rows: int) -> None:
    """Take another column of users if the one with the best name is often empty, as without a login."""
    user = fields.columns.get("user")
    if not isinstance(user, str) or user in fields.fill_down or len(filled[user]) >= OFTEN * rows:
        return
    full = {
        name: texts
        for name, texts in filled.items()
        if len(texts) >= ALWAYS * rows and ELEMENT not in name and not likeness(name, "session")
    }
    other = _best("user", full, taken, rows)
    if other is not None:
        fields.columns["user"] = other
        empty = 1 - len(filled[user]) / rows
        fields.remarks.append(
            f"user: {user} is empty in {empty:.0%} of the rows, which would be quarantined, so {other} is "
            "proposed."
        )


def _beside(filled: Filled, item: str | list[str] | None) -> Filled:
    """Return the columns of which each row has one value: not those of another list than the item's."""
    path, through, _ = str(item).partition(ELEMENT)
    inside = f"{path}{through}" if through else None
    return {
        name: texts
        for name, texts in filled.items()
        if ELEMENT not in name or (inside and name.startswith(inside))
    }


def _candidates(filled: Filled) -> dict[str, Filled]:
    """Return the columns that can be one of the optional fields by their content."""
    kinds = {name: texts for name, texts in filled.items() if _is_kind(texts)}
    varied = {name: texts for name, texts in kinds.items() if len(set(texts)) > 1}
    named = {name: texts for name, texts in varied.items() if likeness(name, "event_type")}
    return {
        "event_type": named or kinds,
        "value": {name: texts for name, texts in filled.items() if _is_number(texts)},
        "session": {name: texts for name, texts in filled.items() if _is_id(texts)},
    }


def _rows(columns: Columns) -> int:
    return max((len(texts) for texts in columns.values()), default=0)


def _listed(column: str | list[str] | None) -> list[str]:
    return [] if column is None else [column] if isinstance(column, str) else column


def _best(role: str, filled: Filled, taken: set[str], rows: int) -> str | None:
    """Return the column whose name is most like a role's; one that is mostly empty counts less."""
    scores = {}
    for name, texts in filled.items():
        score = likeness(name, role)
        if score and name not in taken:
            share = len(texts) / rows
            scores[name] = score * (0.4 + 0.6 * min(1.0, share / 0.6))
    if not scores:
        return None
    return max(scores, key=lambda name: (scores[name], -list(filled).index(name)))


def _guess_times(fields: Fields, columns: Columns, filled: Filled) -> None:
    """Find the column of times, or a date and a time of day in two columns."""
    guesses: dict[str, TimeGuess] = {}
    for name, texts in filled.items():
        guess = guess_time(texts[:500], named=likeness(name, "timestamp") > 0)
        if guess is not None and ELEMENT not in name and _may_be_time(name, guess):
            guesses[name] = guess
    rows = _rows(columns)
    days = {name for name in guesses if normal(name) in DAYS and ":" not in "".join(filled[name][:50])}
    clocked = [name for name in guesses if name not in days and likeness(name, "timestamp") > 0]
    named = clocked or list(guesses)  # the day of a partition is no time, if there is one
    best = _best("timestamp", {name: filled[name] for name in named}, set(), rows)
    name = best or max(
        guesses, key=lambda column: (not guesses[column].is_epoch, len(filled[column])), default=""
    )
    if not name:
        fields.candidates["timestamp"] = sorted(filled, key=lambda column: -likeness(column, "timestamp"))[
            :MOST_CANDIDATES
        ]
        return
    fields.columns["timestamp"], fields.time = name, guess_time(filled[name]) or guesses[name]
    others = [column for column in guesses if column != name and ":" in filled[column][0]]
    if all(":" not in text for text in filled[name]) and not fields.time.is_epoch and not others:
        _add_clock(fields, name, columns, filled)


def _may_be_time(name: str, guess: TimeGuess) -> bool:
    """Return whether a column may be the time: whole numbers need a name that says so, or many digits."""
    if likeness(name, "timestamp") > 0 or not guess.is_epoch:
        return True
    return guess.first != guess.last and max(likeness(name, role) for role in ("user", "item")) == 0


def _add_clock(fields: Fields, day: str, columns: Columns, filled: Filled) -> None:
    """Join a column of the time of day to that of the date."""
    clock = next(
        (
            name
            for name, texts in filled.items()
            if normal(name) in CLOCKS and all(CLOCK.fullmatch(text.strip()) for text in texts)
        ),
        None,
    )
    if clock is None:
        return
    joined = [f"{a} {b}" for a, b in zip(columns[day], columns[clock], strict=True) if a and b]
    guess = guess_time(joined)
    if guess is not None:
        fields.columns["timestamp"], fields.time = [day, clock], guess


def _by_position(fields: Fields, filled: Filled, taken: set[str]) -> None:
    """Take the first columns that look like ids as user and item: without names, nothing says more."""
    free = [name for name, texts in filled.items() if name not in taken and _is_id(texts)]
    if fields.time is None or len(free) < 2:
        return
    for role, column in zip(
        (role for role in ("user", "item") if role not in fields.columns), free, strict=False
    ):
        fields.columns[role] = column
        fields.candidates.pop(role, None)
        taken.add(column)
        fields.notes.append(f"{role}: the column was taken for its position, as it has no name: check it.")
    for name, texts in filled.items():
        if name not in taken and _is_kind(texts) and any(weight_of(kind) != 1 for kind in {*texts}):
            fields.columns["event_type"] = name
            taken.add(name)
            return


def _is_kind(texts: Sequence[str]) -> bool:
    distinct = {text.strip() for text in texts}
    if len(distinct) > FEW or any(len(text) > 80 for text in distinct) or _is_number(texts):
        return False
    return guess_time(sorted(distinct), named=False) is None


def _is_number(texts: Sequence[str]) -> bool:
    return all(NUMBER.fullmatch(text.strip()) for text in texts)


def _is_id(texts: Sequence[str]) -> bool:
    return all(len(text) <= 200 for text in texts)


def id_type(texts: Sequence[str | None]) -> tuple[str, bool]:
    """Return string or int64, and whether all ids are whole numbers.

    int64 is proposed where a program has made 17850 to 17850.0; otherwise text is safe.
    """
    present = [text.strip() for text in texts if text and text.strip()]
    whole = bool(present) and all(WHOLE.fullmatch(text) for text in present)
    return ("int64" if whole and any("." in text for text in present) else "string"), whole


def marks(texts: Sequence[str | None], delimiter: str) -> dict[str, Any]:
    """Return `decimal` and `thousands` where values are written with a comma.

    Files with the delimiter ; come from places where the comma is the decimal mark.
    """
    present = [text.strip() for text in texts if text and text.strip()]
    comma = [text for text in present if "," in text]
    if not comma:
        return {}
    thousands = all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) for text in comma)
    if thousands and delimiter != ";":
        return {"decimal": ".", "thousands": ","}
    pointed = [text for text in present if "." in text]
    if all(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})*,\d+", text) for text in comma if "." in text):
        whole = all(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?", text) for text in pointed)
        if whole and all(text.count(",") == 1 for text in comma):
            return {"decimal": ","} | ({"thousands": "."} if pointed else {})
    return {}
