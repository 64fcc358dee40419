"""How a long step tells how far it is; what shows it (a bar, a log line, an artifact) is up to the caller."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Called with what is being done, how much is done, and of how much (0 where nobody knows)."""

    def __call__(self, doing: str, done: float, of: float) -> None:
        """Tell the progress."""


def silent(doing: str, done: float, of: float) -> None:
    """Tell nobody."""
