"""One view of text rows, with a source's columns under the names that the .sql files use."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sql.engines.engine import Dialect
from sql.engines.text import literal
from sql.landing.landing import LandedRows, Landing, positional
from sql.source import Source

EPOCH = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z; later is out of range, not unreadable
MOST_EMPTY = 100
NAMED = "\x1e"  # between a column's name and its value
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
        f"WHEN {shape} THEN {_named(dict(zip(columns, texts, strict=False)))}"
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
    kept = list(dict.fromkeys([*mapped.values(), *source.attributes.values()]))
    dropped = {column: name for column, name in positions.items() if column not in kept}
    hashed = [positions.get(column, "CAST(NULL AS STRING)") for column in kept]
    hashed.append(_present(dropped.values()) if dropped else "''")
    columns = [
        "file_id",
        "line",
        *(f"{_text(positions, mapped.get(name), source)} AS {name}_text" for name in TEXTS),
        *(f"{_text(positions, column, source)} AS {name}" for name, column in source.attributes.items()),
        f"{_parsed(_text(positions, mapped['timestamp'], source), source, dialect)} AS parsed",
        f"{dialect.hash_row(hashed)} AS row_hash",
        f"{_digest(_values(dropped.values()) if unnamed else _named(dropped) if dropped else None)} AS rest",
        *([f"{_digest(_filled(dropped.values()))} AS rest_filled"] if unnamed else []),
        f"{shape} AS shape",
    ]
    padded = [*positions.values(), *["CAST(NULL AS STRING)"] * (len(texts) - len(positions))]
    columns += [f"{name} AS {text}" for name, text in zip(padded, texts, strict=True)]
    return f"SELECT {', '.join(columns)} FROM {landed.relation}"


def _text(positions: Mapping[str, str], column: str | None, source: Source) -> str:
    if column is None or column not in positions:  # not mapped, or absent from these files
        return "CAST(NULL AS STRING)"
    # empty texts are already null
    nulls = [literal(text) for text in dict.fromkeys(source.null_values) if text]
    if not nulls:
        return positions[column]
    return f"CASE WHEN {positions[column]} NOT IN ({', '.join(nulls)}) THEN {positions[column]} END"


def _parsed(text: str, source: Source, dialect: Dialect) -> str:
    per_unit = EPOCH.get(source.timestamp_format)
    if per_unit is None:
        return dialect.parse_time(text, source.timestamp_format)
    bound = LAST_SECOND * 1_000_000 // per_unit
    number = f"least(greatest(TRY_CAST({text} AS DOUBLE), -{bound}), {bound})"
    # both engines sort NaN above all numbers, so the bound makes it out of range
    return (
        f"CASE WHEN TRY_CAST({text} AS DOUBLE) IS NOT NULL "
        f"THEN timestamp_micros(CAST(round({number} * {per_unit}) AS BIGINT)) END"
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
