"""What every part of a removal shares: the users to remove, and the changes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sql.interactions.forgotten import KeyedList

MARK: Final = "[forgotten]"
"""Replaces an id in a message."""


@dataclass(frozen=True)
class Change:
    """Rows removed from a part of the store, and the number of files or folders changed."""

    part: str
    content: str
    rows: int
    files: int


@dataclass
class Subjects:
    """The users to remove, by their ids as text, and the keyed list of all forgotten users.

    `matched` collects the ids that the store has, `items` the ids of the items of their events.
    """

    ids: tuple[str, ...]
    listed: KeyedList
    matched: set[str] = field(default_factory=set)
    items: set[Any] = field(default_factory=set)

    def values(self, kind: Any) -> Any:
        """Return the ids as an array of a column's type; for int64, only whole numbers."""
        if kind == pa.int64():
            whole = [int(text) for text in self.ids if re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text)]
            return pa.array([number for number in whole if -(2**63) <= number < 2**63], kind)
        return pa.array(self.ids, pa.string()).cast(kind)

    def match(self, column: Any) -> Any:
        """Return the mask of a column's values that are their ids; note these as matched."""
        mask = pc.is_in(column, value_set=self.values(column.type))
        self.matched.update(str(user_id) for user_id in pc.unique(column.filter(mask)).to_pylist())
        return mask

    def without_ids(self, text: str) -> str:
        """Return a message with their ids replaced; ids of digits stay: they may be numbers."""
        for user_id in self.ids:
            if not user_id.isdigit() and user_id in text:
                text = re.sub(rf"(?<!\w){re.escape(user_id)}(?!\w)", MARK, text)
        return text


def change_if_any(part: str, content: str, rows: int, files: int) -> list[Change]:
    """Return a list with the change, or an empty list if nothing changed."""
    return [Change(part, content, rows, files)] if rows or files else []


def unique(ids: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct ids, in their order."""
    return tuple(dict.fromkeys(ids))
