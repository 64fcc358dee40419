"""Files of different kinds in one sample: which of them are evidently logs, and become sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tasks.proposal.guesses.names import likeness, tokens
from tasks.proposal.guesses.times import time_reader
from tasks.proposal.looks import Look

ENOUGH_ROWS: Final = 20
"""Rows from which an id that never repeats is taken for the key of a list of users or items."""
REPEATED: Final = 0.1
"""The share of events that two kinds have in common from which they may be copies."""
LISTS: Final = {
    "user", "customer", "member", "account", "profile", "subscriber", "item", "product", "article",
    "catalog", "catalogue", "inventory", "stock", "kunden", "produkte", "artikel",
}  # fmt: skip
"""Words in names of files that list users or items, and hold no events."""
LONGEST: Final = 40  # characters of a name


@dataclass(frozen=True)
class Kind:
    """Files that are read alike and have the same fields; `name` is that of their source."""

    name: str
    looks: tuple[Look, ...]

    @property
    def best(self) -> Look:
        """The look that stands for all: the first of those with the most fields."""
        return max(self.looks, key=lambda look: len(look.fields.columns))


def kinds_of(looks: Sequence[Look]) -> tuple[list[Kind], dict[str, str]]:
    """Return the kinds of files that become sources, the main one first, and doubts about others.

    The main kind is the largest with all fields, or with the most. Another becomes a source if it
    has all fields by name, other ones or read otherwise, and neither looks like a list of users or
    items nor repeats events of another kind. `doubts` has a sentence for each shape of names of
    which this is not certain.
    """
    best = min(looks, key=lambda look: (len(look.fields.missing), looks.index(look)))
    groups: list[list[Look]] = []
    for look in [best, *(look for look in looks if look is not best)]:
        group = next((group for group in groups if look.is_like(group[0])), None)
        if group is None:
            groups.append([look])
        else:
            group.append(look)
    chosen, doubts = groups[:1], dict[str, str]()
    for group in groups[1:]:
        if best.fields.missing or group[0].fields.missing:
            continue
        doubt = _doubt(group[0], [look for other in chosen for look in other])
        if doubt:
            doubts |= {look.shape.pattern: doubt for look in group}
        else:
            chosen.append(group)
    names: list[str] = []
    for group in chosen:
        names.append(_free(_name(group[0]), names))
    return [Kind(name, tuple(group)) for name, group in zip(names, chosen, strict=True)], doubts


def _doubt(look: Look, logs: Sequence[Look]) -> str | None:
    """Return why files with all fields may hold no events of their own; None without a doubt."""
    named = [*map(str, _listed(look.fields.columns["timestamp"]))]
    if look.fields.notes or max(likeness(name, "timestamp") for name in named) == 0:
        return "its columns are known by their content alone"
    if LISTS & {word.removesuffix("s") for word in tokens(Path(look.shape.pattern).name)}:
        return "its name is that of a list of users or items"
    events = _events(look)
    for place, ids in enumerate(("users", "items")):
        if len(events) >= ENOUGH_ROWS and len({event[place] for event in events}) == len(events):
            return f"it may be a list of {ids}, as none occurs twice"
    mine = set(events)
    for other in logs:
        same = len(mine.intersection(_events(other)))
        if same > REPEATED * len(mine):
            return f"{same:,} of {len(mine):,} events looked at are in {Path(other.shape.pattern).name}, too"
    return None


def _events(look: Look) -> list[tuple[str, str, datetime | str]]:
    """Return the user, item and time of each row that has them."""
    columns, fields = look.columns, look.fields
    read = time_reader(fields.time.formats) if fields.time is not None else lambda _: None
    times = [columns[name] for name in _listed(fields.columns["timestamp"])]
    rows = zip(
        columns[str(fields.columns["user"])], columns[str(fields.columns["item"])], *times, strict=True
    )
    found = []
    for user, item, *parts in rows:
        text = " ".join(part for part in parts if part)
        if user and item and text:
            found.append((user, item, read(text) or text))
    return found


def _listed(column: str | list[str]) -> list[str]:
    return [column] if isinstance(column, str) else column


def _name(look: Look) -> str:
    """Return a name for a source: the word in the files' names, else in that of their folder."""
    *folders, base = re.split(r"[/\\]", look.shape.pattern)
    for part in (base.partition(".")[0], *reversed(folders)):
        words = [word for word in tokens(part.partition("=")[0]) if word.isascii() and word.isalpha()]
        words = [word for word in words if word not in {"data", "part", "export", "log", "logs", "file"}]
        if words:
            return "_".join(words)[:LONGEST].rstrip("_")
    return "source"


def _free(name: str, taken: Sequence[str]) -> str:
    number = 1
    while (free := name if number == 1 else f"{name}_{number}") in taken:
        number += 1
    return free
