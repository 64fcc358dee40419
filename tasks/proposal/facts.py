"""What a proposal says of the files of a kind: settings, columns, ids, kinds of events, and what to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sql.source import ELEMENT
from tasks.proposal.guesses.cells import Separator, item_separator, split_cells
from tasks.proposal.guesses.events import event_weights, weight_of
from tasks.proposal.guesses.fields import id_type, marks
from tasks.proposal.guesses.names import likeness
from tasks.proposal.kinds import Kind
from tasks.proposal.looks import Look, together
from tasks.proposal.rows import Columns
from tasks.proposal.shapes import date_pattern, fits
from tasks.runtime.wording import counted

RATINGS: Final = {
    "rating",
    "ratings",
    "stars",
    "overall",
    "starrating",
    "reviewscore",
    "reviewrating",
    "bewertung",
}
FIELDS: Final = ("user", "item", "timestamp")
LIKELY, MOST_ALTERNATIVES = 0.45, 3
Mapped = Mapping[str, str | list[str]]


def facts_of(kind: Kind) -> dict[str, Any]:
    """Return what the template shows of files of a kind."""
    fields, chosen = kind.best.fields, kind.looks
    columns = together([look.columns for look in chosen])
    names = fields.columns
    encodings = {look.settings.get("encoding", "utf-8") for look in chosen}
    settings = dict(kind.best.settings)
    if len(encodings) > 1 and encodings <= {"utf-8", "cp1252"}:
        settings["encoding"] = "cp1252"
    facts: dict[str, Any] = {"name": "", "settings": settings, "columns": names, "event_type": None}
    facts["notes"] = [*fields.notes, *fields.remarks]
    facts["separator"] = _separator(names, columns, facts["notes"])
    facts |= _ids(names, columns, facts["separator"])
    weights = event_weights(columns[str(names["event_type"])]) if "event_type" in names else {}
    facts["event_weights"] = weights
    facts["fill_down"], facts["fill_down_within"] = fields.fill_down, fields.fill_down_within
    value = names.get("value")
    facts["marks"] = marks(columns[str(value)], settings.get("delimiter", ",")) if value else {}
    facts["is_rating"] = (
        value is not None and str(value).rpartition(".")[2].lower().replace("_", "") in RATINGS
    )
    facts["time"] = fields.time
    facts["file_date"], note = _file_date(chosen)
    facts["file_date_note"] = note
    mapped = {name for column in names.values() for name in ([column] if isinstance(column, str) else column)}
    facts["alternatives"] = {role: _alternatives(role, columns, mapped) for role in FIELDS}
    facts["other_columns"] = [name for name in columns if name not in mapped][:40]
    if fields.time is not None:
        facts["notes"] += _time_notes(fields.time.formats, fields.time.other, zoned=fields.time.zoned)
    if weights:
        facts["notes"].append(
            "event_weights lists the kinds of the sample: rows of any other kind are quarantined until it "
            "is added."
        )
    return facts


def _ids(names: Mapped, columns: Columns, separator: Separator | None) -> dict[str, Any]:
    """Return the ids that are to be read as numbers, and those that could be."""
    ids, whole_ids = {}, []
    for role in ("user", "item"):
        if role in names:
            texts: Sequence[str | None] = columns[str(names[role])]
            if role == "item" and separator is not None and separator.sure:
                texts = split_cells(texts, separator.mark)
            kind, whole = id_type(texts)
            if kind == "int64":
                ids[role] = kind
            elif whole:
                whole_ids.append(role)
    return {"ids": ids, "whole_ids": whole_ids}


def _separator(names: Mapped, columns: Columns, notes: list[str]) -> Separator | None:
    """Return what separates items in a cell of the item's column; a note if it is not certain."""
    item = str(names.get("item", ""))
    separator = item_separator(columns[item]) if item in columns and ELEMENT not in item else None
    if separator is not None and not separator.sure:
        notes.append(
            f"item: {counted(separator.cells, 'value')} of {item} have {separator.mark!r} in them, such as "
            f"{separator.example[:80]!r}. They are taken for ids; if they are several items each, set "
            f'item_separator = "{separator.mark}".'
        )
    return separator


def distinguish(kinds: Sequence[Kind], sources: Sequence[dict[str, Any]]) -> list[str]:
    """Give each of several sources a name, its events a type, and all the same types of ids; return notes."""
    notes = []
    for kind, source in zip(kinds, sources, strict=True):
        source["name"] = kind.name
        if not source["event_weights"]:
            source["event_type"] = kind.name
            source["event_weights"] = {kind.name: weight_of(kind.name)}
    for role in ("user", "item"):
        if not any(role in source["ids"] for source in sources):
            continue
        if all(role in source["ids"] or role in source["whole_ids"] for source in sources):
            for source in sources:
                source["ids"][role] = "int64"
                source["whole_ids"] = [other for other in source["whole_ids"] if other != role]
            continue
        for source in sources:
            source["ids"].pop(role, None)
        notes.append(
            f"{role}: the ids are whole numbers such as 17.0 in one source and texts in another, so all are "
            "read as texts: check that equal ids are written alike."
        )
    return notes


def _alternatives(role: str, columns: Columns, mapped: set[str]) -> list[str]:
    """Return other columns that are named like a field, the likeliest first."""
    others = [name for name in columns if name not in mapped and likeness(name, role) > LIKELY]
    return sorted(others, key=lambda name: -likeness(name, role))[:MOST_ALTERNATIVES]


def _time_notes(formats: tuple[str, ...], other: str | None, *, zoned: bool) -> list[str]:
    notes = []
    if other is not None:
        notes.append(
            f"timestamp_format: no day in the sample is above 12, so {formats[-1]} was taken for its shorter "
            f"span; it could also be {other}. Check it."
        )
    if not zoned:
        notes.append("time_zone: the timestamps name no zone; UTC is assumed. Set the zone that they are in.")
    return notes


def _file_date(chosen: Sequence[Look]) -> tuple[str | None, str | None]:
    """Return the pattern of the date in the files' names, or a remark on why it is not used."""
    pattern = date_pattern([file for look in chosen for file in look.shape.files])
    if pattern is None:
        return None, None
    days = [pair for look in chosen for pair in look.days()]
    if all(fits(file, pattern, events) for file, events in days):
        return pattern, None
    return (
        None,
        f'file_date = "{pattern}" is not set: some events are of other days than their files\' names.',
    )
