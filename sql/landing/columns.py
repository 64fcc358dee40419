"""The columns of a file, held against those that are wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sql.errors import SourceError
from sql.landing.landing import RawFile, Wanted
from sql.landing.text_rows import EXCERPT, printable

MOST_COLUMNS = 20_000


def absent_columns(file: RawFile, columns: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Return the optional columns that a file lacks; its folders can tell a column, too.

    Raises
    ------
    SourceError
        If another wanted column is missing, a column is named twice, or there are too many.
    """
    count = Counter(columns)
    twice = [column for column in count if count[column] > 1]
    if twice:
        raise SourceError(
            f"{file.name}: expected column {twice[0][:80]!r} once, got it {count[twice[0]]} times"
        )
    if len(columns) > MOST_COLUMNS:
        raise SourceError(f"{file.name}: expected at most {MOST_COLUMNS:,} columns, got {len(columns):,}")
    absent = tuple(
        column for column in wanted.columns if column not in count and column not in file.partitions
    )
    for column in absent:
        if column not in wanted.optional:
            known = printable(", ".join(columns)[:EXCERPT])
            raise SourceError(f"{file.name}: expected column {column!r}; known: {known}")
    return absent
