"""What every part of a removal needs: who is to be removed, and what that changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sql.interactions.forgotten import KeyedList

MARK: Final = "[forgotten]"
"""What stands in a message where an id stood."""


@dataclass(frozen=True)
class Change:
    """What is removed from one place of the store: rows, and the files or folders touched for it."""

    place: str
    what: str
    rows: int
    files: int


@dataclass
class Wanted:
    """The users to be removed, by their ids as text, and all who are on the list.

    `found` are those of them that were met, `items` the ids of the items of their events.
    """

    ids: tuple[str, ...]
    listed: KeyedList
    found: set[str] = field(default_factory=set)
    items: set[Any] = field(default_factory=set)

    def values(self, kind: Any) -> Any:
        """Return the ids as an array of a column's type; text that is no whole number is no int64 id."""
        if kind == pa.int64():
            whole = [int(one) for one in self.ids if re.fullmatch(r"0|-?[1-9][0-9]{0,18}", one)]
            return pa.array([one for one in whole if -(2**63) <= one < 2**63], kind)
        return pa.array(self.ids, pa.string()).cast(kind)

    def among(self, column: Any) -> Any:
        """Return which values of a column are ids of theirs, and note them as found."""
        mask = pc.is_in(column, value_set=self.values(column.type))
        self.found.update(str(one) for one in pc.unique(column.filter(mask)).to_pylist())
        return mask

    def without_names(self, text: str) -> str:
        """Return a message in which no id of theirs stands as a word; numbers are taken for numbers."""
        for one in self.ids:
            if not one.isdigit() and one in text:
                text = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", MARK, text)
        return text


def counted(place: str, what: str, rows: int, files: int) -> list[Change]:
    """Return a change, or none where nothing changed."""
    return [Change(place, what, rows, files)] if rows or files else []


def unique(ids: Iterable[str]) -> tuple[str, ...]:
    """Return ids each once, in their order."""
    return tuple(dict.fromkeys(ids))
