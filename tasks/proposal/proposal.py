"""A sample of logs to the text of a first nightshelf.toml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sql.landing.text_rows import printable
from tasks.proposal.events import event_weights
from tasks.proposal.fields import id_type, marks
from tasks.proposal.looks import Look, look_at, together
from tasks.proposal.names import likeness
from tasks.proposal.rows import Columns
from tasks.proposal.shapes import MOST_SHAPES, date_pattern, find_files, fits, paths_of, relative, shapes_of
from tasks.runtime.errors import InputError
from tasks.sources.discovery import LeftOut
from tasks.sources.source_files import SourceFile

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "nightshelf.toml.j2"
RATINGS = {"rating", "ratings", "stars", "overall", "starrating", "reviewscore", "reviewrating", "bewertung"}
FIELDS = ("user", "item", "timestamp")
LIKELY, MOST_ALTERNATIVES = 0.45, 3


@dataclass
class Proposal:
    """A proposed configuration.

    `text` is the file; `missing` are the fields that have to be filled in, with their candidates;
    `notes` is what to check; `files` are those that it was made from.
    """

    text: str
    missing: dict[str, list[str]]
    notes: list[str]
    files: list[SourceFile] = field(default_factory=list)
    last_day: date | None = None
    left_out: tuple[LeftOut, ...] = ()

    def fill_in(self) -> list[str]:
        """Return the lines of the file to fill in, with their numbers and the candidates."""
        lines = self.text.splitlines()
        found = []
        for role, candidates in self.missing.items():
            number = next(i for i, line in enumerate(lines, 1) if line.startswith(f"# {role} ="))
            known = ", ".join(candidates) or "none"
            found.append(f"line {number}: {role} (columns: {known})")
        return found


def propose(samples: Sequence[str], folder: Path, scratch: Path) -> Proposal:
    """Look at files and folders and propose a configuration that will lie in `folder`.

    Raises
    ------
    InputError
        If there are no files, or none that can be read.
    """
    found = [find_files(sample) for sample in samples]
    files = {file.address: file for part in found for file in part.files}
    shapes = shapes_of(list(files.values()))
    looks = [look_at(shape, scratch / f"look-{number}") for number, shape in enumerate(shapes[:MOST_SHAPES])]
    readable = [look for look in looks if look.by_file]
    if not readable:
        problem = next((look.problem for look in looks if look.problem), "the files hold no rows")
        raise InputError(f"nothing can be proposed: {problem}")
    best = min(readable, key=lambda look: (len(look.fields.missing), looks.index(look)))
    chosen = [look for look in readable if look.key() == best.key()]
    others = [look for look in looks if look not in chosen]
    hidden = len(shapes) - len(looks)
    paths = paths_of([look.shape for look in chosen], bool(others) or hidden > 0, samples, folder)
    facts = _facts(best, chosen)
    facts["path"] = paths if len(paths) > 1 else paths[0]
    facts["others"] = [(relative(look.shape.pattern, folder), _described(look)) for look in others]
    facts["catalogue"] = _catalogue(others, best, folder)
    missing = {role: best.fields.candidates.get(role, []) for role in best.fields.missing}
    notes = [*best.notes, *best.fields.notes, *facts["notes"]]
    return Proposal(
        text=_environment().get_template(TEMPLATE).render(facts | {"missing": missing}),
        missing=missing,
        notes=notes,
        files=[file for look in chosen for file in look.shape.spread()],
        last_day=best.fields.time.last.date() if best.fields.time else None,
        left_out=tuple(left for part in found for left in part.left_out),
    )


def _facts(best: Look, chosen: Sequence[Look]) -> dict[str, Any]:
    """Return what the template shows of the logs."""
    fields = best.fields
    columns = together([look.columns for look in chosen])
    names = fields.columns
    encodings = {look.settings.get("encoding", "utf-8") for look in chosen}
    settings = dict(best.settings)
    if len(encodings) > 1 and encodings <= {"utf-8", "cp1252"}:
        settings["encoding"] = "cp1252"
    facts: dict[str, Any] = {"settings": settings, "columns": names, "notes": [], "ids": {}, "whole_ids": []}
    for role in ("user", "item"):
        if role in names:
            kind, whole = id_type(columns[str(names[role])])
            if kind == "int64":
                facts["ids"][role] = kind
            elif whole:
                facts["whole_ids"].append(role)
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


def _described(look: Look) -> str:
    """Return a few words on files that are not part of the proposal."""
    if not look.by_file:
        return look.problem or "no rows"
    names = list(look.columns)
    if not names:
        return "no columns"
    return f"columns {', '.join(names[:6])}" + (", ..." if len(names) > 6 else "")


def _catalogue(others: Sequence[Look], best: Look, folder: Path) -> dict[str, str] | None:
    """Return a file that has the item's column and no time: it may be the catalogue of the items."""
    item = best.fields.columns.get("item")
    for look in others:
        if not look.by_file or "timestamp" in look.fields.columns:
            continue
        column = item if item in look.columns else look.fields.columns.get("item")
        if isinstance(column, str) and "user" not in look.fields.columns:
            title = next((name for name in look.columns if name.lower() in {"title", "name"}), None)
            facts = {"path": relative(look.shape.pattern, folder), "id": column}
            return facts | ({"title": title} if title else {})
    return None


@cache
def _environment() -> jinja2.Environment:
    """Return the environment of the template; the filter `toml` writes a text, a list or a number."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - a configuration file is no HTML
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["toml"] = toml
    environment.filters["comment"] = lambda text: printable(" ".join(str(text).split()))
    return environment


def toml(value: Any) -> str:
    """Return a text, number or list of texts as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
