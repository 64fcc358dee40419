"""The windows of popular items: a whole number of days, or hours such as "6h"; 0 is all time."""

from __future__ import annotations

import re
from typing import Final

LONGEST_DAYS: Final = 36_500
_EXPECTED: Final = "expected a number of days, 0 for all time, or hours from '1h' on, such as '6h'"
_TEXT: Final = re.compile(r"([0-9]{1,7})(h?)", re.ASCII)


def hours_of(window: object) -> int:
    """Return the hours of a window: of 6 days, "6" or "6h", for example; 0 is all time.

    Raises
    ------
    ValueError
        If it is anything else, or less than an hour.
    """
    text = _TEXT.fullmatch(window if isinstance(window, str) else _digits(window))
    if text is None or (text[2] and not int(text[1])):
        raise ValueError(f"{_EXPECTED}, got {window!r:.100}")
    return int(text[1]) * (1 if text[2] else 24)


def canonical(window: object) -> int | str:
    """Return a window as days if they are whole, else as hours: 1 for "24h", "6h" for "6h".

    Raises
    ------
    ValueError
        If it is no window (`hours_of`), or longer than LONGEST_DAYS.
    """
    hours = hours_of(window)
    if hours > 24 * LONGEST_DAYS:
        raise ValueError(f"expected a window of at most {LONGEST_DAYS:,} days, got {window!r:.100}")
    return f"{hours}h" if hours % 24 else hours // 24


def text_of(window_days: float) -> str:
    """Return the days of a table's row as a window is written: 7, 6h, 0."""
    hours = round(24 * window_days)
    return f"{hours}h" if hours % 24 else str(hours // 24)


def name_of(window_days: float) -> str:
    """Return the days of a table's row in words: 7 days, 6 hours, all time."""
    text = text_of(window_days)
    if text == "0":
        return "all time"
    return f"{text[:-1]} hours" if text.endswith("h") else f"{text} days"


def _digits(window: object) -> str:
    """Return a whole number as digits; nothing for anything else."""
    if isinstance(window, bool) or not isinstance(window, int | float):
        return ""
    return str(int(window)) if float(window).is_integer() else ""
