"""One view of text rows, with a source's columns under the names that the .sql files use."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sql.engines.engine import Dialect
from sql.engines.text import literal
from sql.interactions.times import parsed_time
from sql.landing.landing import LandedRows, Landing, Wanted, positional
from sql.source import ELEMENT, Source

MOST_EMPTY = 100
NAMED = "\x1e"  # between a column's name and its value
ONE = "'1'"  # as SQL: the element of a line that is one event
TEXTS = ("user", "item", "timestamp", "event_type", "value", "weight", "session", "position")


@dataclass(frozen=True)
class RawRows:
    """The query of the relation `raw_rows`: one row per text row of a landing.

    Its columns are file_id, line, the texts user_text ... position_text (null if not mapped) and
    the attributes; `parsed`, the timestamp as written (TIMESTAMP or null); `row_hash`, equal for
    equal rows; `rest`, the md5 of all columns that are not kept, null if they are empty; `shape`,
    which numbers the sets of columns; and `t0`, `t1`..., the row's texts in the order of its column
    names. Rows are equal if they have the same values: an empty column is as good as none.

    Attributes
    ----------
    query
        The SELECT.
    texts
        t0, t1...: one per column of the widest shape.
    raw
        An expression over `shape` and `texts`: the row as one JSON object.
    key
        An expression over `shape` and `texts`: the columns that have a value, equal for equal rows.
    """

    query: str
    texts: tuple[str, ...]
    raw: str
    key: str


def wanted_columns(source: Source) -> Wanted:
    """Return the columns that a source reads of its files."""
    columns = source.columns
    fields = list(chain(*columns.mapped().values()))
    required = {columns.user, columns.item, *columns.times}
    wanted = tuple(dict.fromkeys([*fields, *source.attributes.values()]))
    return Wanted(
        wanted,
        optional=frozenset(wanted) - required,
        scalars=frozenset(fields),
        ids=frozenset({columns.user, columns.item}),
        times=columns.times,
        list_of=source.list_of,
        split=(columns.item, source.item_separator) if source.item_separator else None,
    )


def raw_rows(landing: Landing, source: Source, dialect: Dialect, *, unnamed: bool = False) -> RawRows:
    """Return the query for a landing with at least one relation.

    With `unnamed`, `rest` is what version 0.1 stored: a digest of values without their columns, in
    which empty ones count. `rest_filled` is then the same without empty ones.
    """
    shapes = sorted({tuple(sorted(landed.columns)) for landed in landing.relations})
    texts = tuple(f"t{index}" for index in range(max(map(len, shapes))))
    numbers = {columns: shape for shape, columns in enumerate(shapes)}
    selects = [
        _select(landed, numbers[tuple(sorted(landed.columns))], texts, source, dialect, unnamed=unnamed)
        for landed in landing.relations
    ]
    keys = [
        f"WHEN {shape} THEN {_pairs(dict(zip(columns, texts, strict=False)))}"
        for columns, shape in numbers.items()
    ]
    whens = [
        f"WHEN {shape} THEN {dialect.json_row(dict(zip(columns, texts, strict=False)))}"
        for columns, shape in numbers.items()
    ]
    return RawRows("\nUNION ALL\n".join(selects), texts, _by_shape(whens), _by_shape(keys))


def _by_shape(whens: Sequence[str]) -> str:
    return f"CASE shape {' '.join(whens)} END"


def _select(
    landed: LandedRows,
    shape: int,
    texts: Sequence[str],
    source: Source,
    dialect: Dialect,
    *,
    unnamed: bool,
) -> str:
    positions = dict(sorted(zip(landed.columns, positional(landed.columns), strict=True)))
    mapped = source.columns.mapped()
    kept = list(dict.fromkeys([*chain(*mapped.values()), *source.attributes.values()]))
    dropped = {column: name for column, name in positions.items() if column not in kept}
    hashed = [_text(positions, [column]) for column in kept]
    hashed.append(_present(dropped.values()) if dropped else "''")
    texts_of = {name: _text(positions, mapped.get(name, ())) for name in TEXTS}
    if source.event_type is not None:
        texts_of["event_type"] = literal(source.event_type)
    columns = [
        "file_id",
        "line",
        *(f"{texts_of[name]} AS {name}_text" for name in TEXTS),
        *(f"{_text(positions, [column])} AS {name}" for name, column in source.attributes.items()),
        f"{parsed_time(texts_of['timestamp'], source, dialect)} AS parsed",
        f"{dialect.hash_row(hashed)} AS row_hash",
        f"{_digest(_values(dropped.values()) if unnamed else _named(dropped) if dropped else None)} AS rest",
        *([f"{_digest(_filled(dropped.values()))} AS rest_filled"] if unnamed else []),
        f"{shape} AS shape",
        *([f"{positions.get(ELEMENT, ONE)} AS element"] if source.has_elements else []),
    ]
    padded = [*positions.values(), *["CAST(NULL AS STRING)"] * (len(texts) - len(positions))]
    columns += [f"{name} AS {text}" for name, text in zip(padded, texts, strict=True)]
    return f"SELECT {', '.join(columns)} FROM {landed.relation}"


def _text(positions: Mapping[str, str], columns: Sequence[str]) -> str:
    """Return an expression for a column's text; those of several columns are joined by spaces."""
    if not columns or not all(column in positions for column in columns):
        return "CAST(NULL AS STRING)"  # not mapped, or absent from these files
    places = [positions[column] for column in columns]
    if len(places) == 1:
        return places[0]
    present = " AND ".join(f"{place} IS NOT NULL" for place in places)
    return f"CASE WHEN {present} THEN concat_ws(' ', {', '.join(places)}) END"


def _pairs(columns: Mapping[str, str]) -> str:
    """Return a text of the columns that have a value, with names and lengths: none looks like others."""
    return _present(
        f"{literal(f'{len(column)}:{column}')} || CAST(length({text}) AS STRING) || ':' || {text}"
        for column, text in columns.items()
    )


def _present(texts: Iterable[str]) -> str:
    """Return a text of those that are not null; || with a null is null on both engines."""
    return f"concat_ws(chr(31), {', '.join(texts)})"


def _digest(value: str | None) -> str:
    """Return the md5 of a text, null for an empty one."""
    return "CAST(NULL AS STRING)" if value is None else f"md5(nullif({value}, ''))"


def _named(columns: Mapping[str, str]) -> str:
    """Return a text of the columns (name -> position) that have a value, with their names."""
    return _present(f"{literal(f'{column}{NAMED}')} || {text}" for column, text in columns.items())


def _values(columns: Collection[str]) -> str | None:
    marked = ", ".join(f"coalesce({column}, chr(30))" for column in columns)
    return f"concat_ws(chr(31), {marked})" if columns else None


def _filled(columns: Collection[str]) -> str | None:
    return _present(columns) if columns else None


def empty_digests() -> list[str]:
    """Return what version 0.1 stored as `rest` of 1, 2... columns that are all empty."""
    texts = ["\x1f".join(["\x1e"] * columns) for columns in range(1, MOST_EMPTY)]
    return [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]
