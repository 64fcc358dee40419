"""How sentences count."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s for the plural: 1 file, 1,204 files."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
