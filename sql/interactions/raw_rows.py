"""One view of text rows, with a source's columns under the names that the .sql files use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sql.engines.engine import Dialect
from sql.engines.text import literal
from sql.interactions.times import parsed_time
from sql.landing.landing import LandedRows, Landing, Wanted, positional
from sql.source import Source

TEXTS = ("user", "item", "timestamp", "event_type", "value", "weight", "session", "position")


@dataclass(frozen=True)
class RawRows:
    """The query of the relation `raw_rows`: one row per text row of a landing.

    Its columns are file_id, line, the texts user_text ... position_text (null if not mapped) and
    the attributes; `parsed`, the timestamp as written (TIMESTAMP or null); `row_hash`, equal for
    equal rows; `rest`, the md5 of all columns that are not kept, null if all are; `shape`, which
    numbers the sets of columns; and `t0`, `t1`..., the row's texts in the order of its column
    names.

    Attributes
    ----------
    query
        The SELECT.
    texts
        t0, t1...: one per column of the widest shape.
    raw
        An expression over `shape` and `texts`: the row as one JSON object.
    """

    query: str
    texts: tuple[str, ...]
    raw: str


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
    )


def raw_rows(landing: Landing, source: Source, dialect: Dialect) -> RawRows:
    """Return the query for a landing with at least one relation."""
    shapes = sorted({tuple(sorted(landed.columns)) for landed in landing.relations})
    texts = tuple(f"t{index}" for index in range(max(map(len, shapes))))
    numbers = {columns: shape for shape, columns in enumerate(shapes)}
    selects = [
        _select(landed, numbers[tuple(sorted(landed.columns))], texts, source, dialect)
        for landed in landing.relations
    ]
    whens = [
        f"WHEN {shape} THEN {dialect.json_row(dict(zip(columns, texts, strict=False)))}"
        for columns, shape in numbers.items()
    ]
    return RawRows("\nUNION ALL\n".join(selects), texts, f"CASE shape {' '.join(whens)} END")


def _select(landed: LandedRows, shape: int, texts: Sequence[str], source: Source, dialect: Dialect) -> str:
    positions = dict(sorted(zip(landed.columns, positional(landed.columns), strict=True)))
    mapped = source.columns.mapped()
    kept = {*chain(*mapped.values()), *source.attributes.values()}
    dropped = [name for column, name in positions.items() if column not in kept]
    texts_of = {name: _text(positions, mapped.get(name, ()), source) for name in TEXTS}
    columns = [
        "file_id",
        "line",
        *(f"{texts_of[name]} AS {name}_text" for name in TEXTS),
        *(f"{_text(positions, [column], source)} AS {name}" for name, column in source.attributes.items()),
        f"{parsed_time(texts_of['timestamp'], source, dialect)} AS parsed",
        f"{dialect.hash_row(list(positions.values()))} AS row_hash",
        f"{_digest(dropped)} AS rest",
        f"{shape} AS shape",
    ]
    padded = [*positions.values(), *["CAST(NULL AS STRING)"] * (len(texts) - len(positions))]
    columns += [f"{name} AS {text}" for name, text in zip(padded, texts, strict=True)]
    return f"SELECT {', '.join(columns)} FROM {landed.relation}"


def _text(positions: Mapping[str, str], columns: Sequence[str], source: Source) -> str:
    """Return an expression for a column's text; those of several columns are joined by spaces."""
    if not columns or not all(column in positions for column in columns):
        return "CAST(NULL AS STRING)"  # not mapped, or absent from these files
    # empty texts are already null
    nulls = [literal(text) for text in dict.fromkeys(source.null_values) if text]
    places = [positions[column] for column in columns]
    conditions = [f"{place} NOT IN ({', '.join(nulls)})" for place in places if nulls]
    if len(places) > 1:
        conditions += [f"{place} IS NOT NULL" for place in places]
    joined = places[0] if len(places) == 1 else f"concat_ws(' ', {', '.join(places)})"
    return f"CASE WHEN {' AND '.join(conditions)} THEN {joined} END" if conditions else joined


def _digest(columns: list[str]) -> str:
    if not columns:
        return "CAST(NULL AS STRING)"
    marked = ", ".join(f"coalesce({column}, chr(30))" for column in columns)
    return f"md5(concat_ws(chr(31), {marked}))"
