"""The mapping of a source's columns to the names that the .sql files know, as one view of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sql.engines.engine import Dialect
from sql.engines.text import literal
from sql.landing.landing import Landed, Landing, positional
from sql.source import Source

EPOCH = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: what is beyond it is out of range, not unreadable
TEXTS = ("user", "item", "timestamp", "event_type", "value", "weight", "session", "position")


@dataclass(frozen=True)
class RawRows:
    """The query of the relation `raw_rows`: one row per row of text of a landing.

    Its columns are file_id, line, the texts user_text ... position_text (null where not mapped), the
    attributes, `parsed` (the timestamp as it is written, TIMESTAMP or null), `row_hash` (equal for equal
    rows), `rest` (md5 of the columns that are not kept, null if all are), `shape` and the columns `t0`,
    `t1`...: all texts of the row, of the shape's columns in the order of their names.

    Attributes
    ----------
    query
        The SELECT.
    texts
        t0, t1...: as many as the widest shape has columns.
    raw
        An expression over `shape` and `texts`: the row as one JSON object.
    """

    query: str
    texts: tuple[str, ...]
    raw: str


def raw_rows(landing: Landing, source: Source, dialect: Dialect) -> RawRows:
    """Return the mapping of a landing with at least one relation."""
    shapes = sorted({tuple(sorted(landed.columns)) for landed in landing.relations})
    texts = tuple(f"t{place}" for place in range(max(map(len, shapes))))
    number = {columns: place for place, columns in enumerate(shapes)}
    selects = [
        _select(landed, number[tuple(sorted(landed.columns))], texts, source, dialect)
        for landed in landing.relations
    ]
    whens = [
        f"WHEN {place} THEN {dialect.json_row(dict(zip(columns, texts, strict=False)))}"
        for columns, place in number.items()
    ]
    return RawRows("\nUNION ALL\n".join(selects), texts, f"CASE shape {' '.join(whens)} END")


def _select(landed: Landed, shape: int, texts: Sequence[str], source: Source, dialect: Dialect) -> str:
    places = dict(sorted(zip(landed.columns, positional(landed.columns), strict=True)))
    mapped = source.columns.mapped()
    kept = {*mapped.values(), *source.attributes.values()}
    spare = [place for column, place in places.items() if column not in kept]
    columns = [
        "file_id",
        "line",
        *(f"{_text(places, mapped.get(name), source)} AS {name}_text" for name in TEXTS),
        *(f"{_text(places, column, source)} AS {name}" for name, column in source.attributes.items()),
        f"{_parsed(_text(places, mapped['timestamp'], source), source, dialect)} AS parsed",
        f"{dialect.hash_row(list(places.values()))} AS row_hash",
        f"{_digest(spare)} AS rest",
        f"{shape} AS shape",
    ]
    padded = [*places.values(), *["CAST(NULL AS STRING)"] * (len(texts) - len(places))]
    columns += [f"{place} AS {text}" for place, text in zip(padded, texts, strict=True)]
    return f"SELECT {', '.join(columns)} FROM {landed.relation}"


def _text(places: Mapping[str, str], column: str | None, source: Source) -> str:
    if column is None:
        return "CAST(NULL AS STRING)"
    nulls = [literal(text) for text in dict.fromkeys(source.null_values) if text]  # landing drops the empty
    if not nulls:
        return places[column]
    return f"CASE WHEN {places[column]} NOT IN ({', '.join(nulls)}) THEN {places[column]} END"


def _parsed(text: str, source: Source, dialect: Dialect) -> str:
    per_unit = EPOCH.get(source.timestamp_format)
    if per_unit is None:
        return dialect.parse_time(text, source.timestamp_format)
    bound = LAST_SECOND * 1_000_000 // per_unit
    number = f"least(greatest(TRY_CAST({text} AS DOUBLE), -{bound}), {bound})"
    # NaN is the greatest of all numbers in both engines, so it comes out of range with the bound
    return (
        f"CASE WHEN TRY_CAST({text} AS DOUBLE) IS NOT NULL "
        f"THEN timestamp_micros(CAST(round({number} * {per_unit}) AS BIGINT)) END"
    )


def _digest(columns: list[str]) -> str:
    if not columns:
        return "CAST(NULL AS STRING)"
    marked = ", ".join(f"coalesce({column}, chr(30))" for column in columns)
    return f"md5(concat_ws(chr(31), {marked}))"
