"""The form of a text file: its delimiter, the lines before its header, its header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tasks.proposal.guesses.names import ROLES, normal
from tasks.proposal.guesses.snowplow import ENRICHED_EVENT
from tasks.proposal.guesses.times import guess_time

DELIMITERS = (",", ";", "\t", "|", "::", "\x1f")
LOOKED_AT = 200  # lines
MOST_BEFORE = 30  # lines before a header
NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?")
SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def csv_settings(text: str, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return the settings by which a CSV file is read, without defaults, and notes about them."""
    lines = text.splitlines()
    settings: dict[str, Any] = {}
    notes: list[str] = []
    marked = SEP.fullmatch(lines[0]) if lines else None
    if marked:
        lines = lines[1:]
    delimiter = marked.group(1) if marked else _delimiter(lines[:LOOKED_AT])
    usual = "\t" if ".tsv" in name.lower()[-8:] else ","
    if delimiter != usual and not marked:
        settings["delimiter"] = delimiter
    before, rows = _rows(lines[:LOOKED_AT], delimiter)
    if before and not marked:
        settings["skip_lines"] = before
    if rows and not has_header(rows):
        settings["header"] = False
        settings["column_names"] = _names(len(rows[0]))
        if len(rows[0]) != len(ENRICHED_EVENT):
            notes.append("The file has no header: give its columns their names in column_names.")
    return settings, notes


def _names(width: int) -> list[str]:
    if width == len(ENRICHED_EVENT):
        return list(ENRICHED_EVENT)
    return [f"column_{number}" for number in range(1, width + 1)]


def _delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts most lines into an equal number of fields, more than one."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        counts = Counter(len(row) for row in _split(lines, delimiter))
        if not counts:
            continue
        width, rows = max(counts.items(), key=lambda pair: (pair[1] * (pair[0] > 1), pair[0]))
        share = rows / sum(counts.values())
        score = (round(share, 1) if width > 1 else 0.0, width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    lines = [line for line in lines if line.strip()]
    if len(delimiter) > 1:
        return [line.split(delimiter) for line in lines]
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return [line.split(delimiter) for line in lines]


def _rows(lines: Sequence[str], delimiter: str) -> tuple[int, list[list[str]]]:
    """Return the number of lines before the header or first row, and the rows from there on."""
    rows = _split(lines, delimiter)
    counts = Counter(map(len, rows))
    width = max(counts, key=lambda size: (counts[size], size)) if counts else 1
    for before, line in enumerate(lines[:MOST_BEFORE]):
        parts = _split([line], delimiter)
        if parts and len(parts[0]) >= width:
            return (before if any(text.strip() for text in lines[:before]) else 0), _split(
                lines[before:], delimiter
            )
    return 0, rows


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row names the columns: it holds no figure and no time."""
    first = [cell.strip() for cell in rows[0]]
    known = {name for names in ROLES.values() for name in names}
    if sum(normal(cell) in known for cell in first) >= 2:
        return True
    return not any(NUMBER.fullmatch(cell) or (cell and guess_time([cell], named=False)) for cell in first)
