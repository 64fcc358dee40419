"""Several items in one cell: what separates them, where the cells of a sample show it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SEPARATORS: Final = ("|", ";", ",")
FEWEST: Final = 2
"""Different cells with a separator that are looked at; a single one shows nothing."""
SHARED: Final = 0.3
"""The share of items behind a separator that must also begin cells, or be alone in one."""


@dataclass(frozen=True)
class Separator:
    """What may separate items in a cell: the number of cells that hold it, and one of them.

    `sure` is False if they may as well be ids that contain the character.
    """

    mark: str
    cells: int
    example: str
    sure: bool


def item_separator(texts: Sequence[str | None]) -> Separator | None:
    """Return what separates several items in the cells of a column, None if nothing seems to.

    Items stand in any order and number: cells hold different numbers of them, and what is behind a
    separator elsewhere begins a cell. The parts of one id (a size, a colour, a shelf) keep to their
    places, so that cells of which this is true are not split.
    """
    cells = [text.strip() for text in texts if text and text.strip()]
    found = [separator for mark in SEPARATORS if (separator := _separator(cells, mark)) is not None]
    return max(found, key=lambda separator: (separator.sure, separator.cells), default=None)


def split_cells(texts: Sequence[str | None], mark: str) -> list[str | None]:
    """Return the items in the cells of a column."""
    return [item for text in texts if text for item in _items(text, mark)]


def _items(cell: str, mark: str) -> list[str]:
    return [item for part in cell.split(mark) if (item := part.strip())]


def _separator(cells: Sequence[str], mark: str) -> Separator | None:
    split = {cell: _items(cell, mark) for cell in cells}
    several = {cell: items for cell, items in split.items() if len(items) > 1}
    spaced = mark == "," and any(" " in cell for cell in several)  # text with commas
    if len(several) < FEWEST or spaced:
        return None
    varied = len({len(items) for items in split.values()}) > 1
    first = {items[0] for items in split.values() if items}
    later = {item for items in several.values() for item in items[1:]}
    sure = varied and (_in_any_order(first, later) or _alike(list(several.values()), first, later))
    if not sure and not first & later and not varied:
        return None
    count = sum(cell in several for cell in cells)
    return Separator(mark, count, min(several, key=len), sure)


def _in_any_order(first: set[str], later: set[str]) -> bool:
    shared = first & later
    return len(shared) >= FEWEST and len(shared) >= SHARED * len(later)


def _alike(several: Sequence[Sequence[str]], first: set[str], later: set[str]) -> bool:
    """Return whether items look alike in every place (p17|p4), and none heads several cells (shop|shelf)."""
    heads = Counter(items[0] for items in several)
    if any(count > 1 and head not in later for head, count in heads.items()):
        return False
    looks = {_look(item) for item in later}
    return looks <= {_look(item) for item in first} and all("9" in look for look in looks)


def _look(item: str) -> str:
    """Return an item with figures as 9, each, and letters as a, together: B0017 is a9999."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", item))
