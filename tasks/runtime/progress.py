"""How a long step reports progress; the caller decides how to show it (bar, log line, artifact)."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """A function called with the current activity, the amount done and the total (0 if unknown)."""

    def __call__(self, doing: str, done: float, of: float) -> None:
        """Report progress."""


def silent(doing: str, done: float, of: float) -> None:
    """Ignore progress."""
