"""The mapping of a source's columns to the names that the .sql files know, as one view of text."""

from __future__ import annotations

from collections.abc import Mapping

from sql.careful import positional
from sql.engine import Dialect, literal
from sql.landing import Landed, Landing
from sql.layout import Source

EPOCH = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: what is beyond it is out of range, not unreadable
TEXTS = ("user", "item", "timestamp", "event_type", "value", "weight", "session", "position")


def raw_rows(landing: Landing, source: Source, dialect: Dialect) -> str:
    """Return a query: one row per row of text of a landing.

    Its columns are file_id, line, the texts user_text ... position_text (null where not mapped),
    the attributes, `parsed` (the timestamp as it is written, TIMESTAMP or null), `row_hash` (equal for
    equal rows), `rest` (md5 of the columns that are not kept, null if all are) and `raw` (the row as JSON).
    """
    return "\nUNION ALL\n".join(_rows_of(landed, source, dialect) for landed in landing.relations)


def _rows_of(landed: Landed, source: Source, dialect: Dialect) -> str:
    places = dict(zip(landed.columns, positional(landed.columns), strict=True))
    mapped = source.columns.mapped()
    texts = [f"{_text(places, mapped.get(name), source)} AS {name}_text" for name in TEXTS]
    kept = {mapped.get(name) for name in TEXTS} | set(source.attributes.values())
    attributes = [f"{_text(places, column, source)} AS {name}" for name, column in source.attributes.items()]
    spare = [place for column, place in places.items() if column not in kept]
    columns = [
        "file_id",
        "line",
        *texts,
        *attributes,
        f"{_parsed(_text(places, mapped['timestamp'], source), source, dialect)} AS parsed",
        f"{dialect.hash_row(list(places.values()))} AS row_hash",
        f"{_digest(spare)} AS rest",
        f"{dialect.json_row(places)} AS raw",
    ]
    return f"SELECT {', '.join(columns)} FROM {landed.relation}"


def _text(places: Mapping[str, str], column: str | None, source: Source) -> str:
    if column is None:
        return "CAST(NULL AS STRING)"
    nulls = ", ".join(literal(text) for text in dict.fromkeys(("", *source.null_values)))
    return f"CASE WHEN {places[column]} NOT IN ({nulls}) THEN {places[column]} END"


def _parsed(text: str, source: Source, dialect: Dialect) -> str:
    per_unit = EPOCH.get(source.timestamp_format)
    if per_unit is None:
        return dialect.parse_time(text, source.timestamp_format)
    bound = LAST_SECOND * 1_000_000 // per_unit
    number = f"least(greatest(TRY_CAST({text} AS DOUBLE), -{bound}), {bound})"
    # NaN is the greatest of all numbers in both engines, so it comes out of range with the bound
    return f"CASE WHEN TRY_CAST({text} AS DOUBLE) IS NOT NULL THEN timestamp_micros(CAST(round({number} * {per_unit}) AS BIGINT)) END"


def _digest(columns: list[str]) -> str:
    if not columns:
        return "CAST(NULL AS STRING)"
    marked = ", ".join(f"coalesce({column}, chr(30))" for column in columns)
    return f"md5(concat_ws(chr(31), {marked}))"
