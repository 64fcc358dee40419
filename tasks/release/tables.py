"""The tables of a release: columns, types, order and meaning, for writers and audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from tasks.release.windows import name_of
from tasks.runtime.errors import UserError

GLOBAL_SEGMENT: Final = "all"  # popular_items among all users: segment = segment_value = 'all'

POPULAR_RECENTLY: Final = "popular_recently"  # source of rows filled by popularity with a half-life
SEEN_BEFORE: Final = "seen_before"  # source of rows that repeat a seen item for lack of others

_STRING, _INT32, _INT64 = pa.string(), pa.int32(), pa.int64()
_FLOAT, _DOUBLE, _BOOLEAN, _DATE = pa.float32(), pa.float64(), pa.bool_(), pa.date32()


def popular_source(window_days: float) -> str:
    """Return the source of rows filled with a window's popular items: popular_30_days, popular_6_hours."""
    return f"popular_{name_of(window_days).replace(' ', '_')}"


@dataclass(frozen=True)
class IdTypes:
    """The types of user and item ids in the source: each is int64 or string."""

    user: Any = _INT64
    item: Any = _INT64

    def __post_init__(self) -> None:
        for name, kind in (("user_id", self.user), ("item_id", self.item)):
            if kind not in (_INT64, _STRING):
                raise UserError(f"expected {name} of type int64 or string, got {kind}")


@dataclass(frozen=True)
class Column:
    """A column: `type` is an Arrow type, or 'user' or 'item' for an id of the source's type."""

    name: str
    type: Any
    unit: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table of a release; its rows are sorted by `key`, which is unique.

    Releases of version 0.1 lack the tables that are `later`; they can still be read.
    """

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    later: bool = False

    def schema(self, ids: IdTypes) -> Any:
        """Return the pyarrow schema for these id types; columns that hold no null are declared so."""
        types = {"user": ids.user, "item": ids.item}
        kinds = [types[c.type] if isinstance(c.type, str) else c.type for c in self.columns]
        return pa.schema([pa.field(c.name, k, c.nullable) for c, k in zip(self.columns, kinds, strict=True)])


RECOMMENDATIONS: Final = Table(
    "recommendations",
    "user and rank; every known user has exactly N rows, or all items if there are fewer",
    ("user_id", "rank"),
    (
        Column("user_id", "user", "id", "the user, as in the logs"),
        Column("rank", _INT32, "position", "1 is the best; 1..N without gaps"),
        Column("item_id", "item", "id", "the recommended item"),
        Column(
            "score", _FLOAT, "model's own", "finite, never rising with rank; not comparable between models"
        ),
        Column("source", _STRING, "name", "the model, or the fallback level that filled the row"),
        Column(
            "reason_item_id", "item", "id", "an item of the user's history behind this row", nullable=True
        ),
    ),
)
SIMILAR_ITEMS: Final = Table(
    "similar_items",
    "item and rank; every item with interactions has equally many rows",
    ("item_id", "rank"),
    (
        Column("item_id", "item", "id", "the item that the list is about"),
        Column("rank", _INT32, "position", "1 is the most similar; no gaps"),
        Column("similar_item_id", "item", "id", "the similar item, never the item itself"),
        Column("score", _FLOAT, "model's own", "finite, never rising with rank"),
        Column("source", _STRING, "name", "the model, or what filled the row: co_occurrence, popularity"),
    ),
)
POPULAR_ITEMS: Final = Table(
    "popular_items",
    "segment, segment value, window and rank; the answer for users who are not in recommendations",
    ("segment", "segment_value", "window_days", "rank"),
    (
        Column("segment", _STRING, "name", "the attribute that splits the events; 'all' for all users"),
        Column("segment_value", _STRING, "value", "the attribute's value; 'all' in the segment 'all'"),
        Column("window_days", _DOUBLE, "days", "events of the last N days, 0.25 for 6 hours; 0 is all time"),
        Column("rank", _INT32, "position", "1 is the most popular; no gaps"),
        Column("item_id", "item", "id", "the popular item"),
        Column("score", _DOUBLE, "ln(1 + strength)", "summed over the users; finite, never rising with rank"),
        Column("users", _INT64, "users", "distinct users behind the score"),
    ),
)
MODEL_METRICS: Final = Table(
    "model_metrics",
    "model, split, metric and k",
    ("model", "split", "metric", "k"),
    (
        Column("model", _STRING, "name", "the model or baseline"),
        Column("split", _STRING, "name", "the part of the events it was measured on"),
        Column("metric", _STRING, "name", "the metric's full name, such as ndcg or recall"),
        Column("k", _INT32, "items", "length of the measured list; 0 for metrics without lists"),
        Column("value", _DOUBLE, "metric's own", "the mean over the users"),
        Column("ci_low", _DOUBLE, "metric's own", "lower end of the confidence interval", nullable=True),
        Column("ci_high", _DOUBLE, "metric's own", "upper end of the confidence interval", nullable=True),
        Column("users", _INT64, "users", "users the mean was taken over"),
    ),
)
VALIDATION_RESULTS: Final = Table(
    "validation_results",
    "check of the validation gate",
    ("check", "column"),
    (
        Column("check", _STRING, "name", "the expectation that was checked"),
        Column("column", _STRING, "name", "the column or profile figure; empty for the whole table"),
        Column("observed", _STRING, "as checked", "the observed value, as text"),
        Column("threshold", _STRING, "as checked", "the allowed value, as text"),
        Column("passed", _BOOLEAN, "true or false", "whether the check held"),
        Column("rows_failed", _INT64, "rows", "rows that broke the check"),
    ),
)
RELEASE_SCORES: Final = Table(
    "release_scores",
    "night, segment, value and k; what readers had, judged by the events since",
    ("as_of", "segment", "segment_value", "k"),
    (
        Column("as_of", _DATE, "date", "the night that judged; the last date of its events"),
        Column("segment", _STRING, "name", "all, model, source, rank, activity, or an attribute of users"),
        Column("segment_value", _STRING, "value", "the segment's value; 'all' in the segment 'all'"),
        Column("k", _INT32, "items", "only the first k items of each list count"),
        Column("scored_as_of", _DATE, "date", "the date of the release that was judged"),
        Column("first_date", _DATE, "date", "the first date of the events, the day after scored_as_of"),
        Column("users", _INT64, "users", "users with an event that counts; bots do not"),
        Column("users_listed", _INT64, "users", "of these, users with a list"),
        Column("users_judged", _INT64, "users", "of these, users who met an item that was new to them"),
        Column("users_hit", _INT64, "users", "of these, users who met such an item of their list"),
        Column("events", _INT64, "events", "their events that count"),
        Column("events_listed", _INT64, "events", "of these, events of users with a list"),
        Column("events_found", _INT64, "events", "of these, events with an item of the user's list"),
        Column("listed_rows", _INT64, "rows", "rows of the lists of these users"),
        Column("pairs", _INT64, "pairs", "users with a list, and items that they met for the first time"),
        Column("hits", _INT64, "pairs", "of these, pairs with an item of the user's list"),
        Column("recall", _DOUBLE, "share", "hits / pairs of a user, mean of users_judged", nullable=True),
        Column("ndcg", _DOUBLE, "share", "NDCG of a user, mean of users_judged", nullable=True),
        Column("ndcg_low", _DOUBLE, "share", "lower end of its 95 % interval", nullable=True),
        Column("ndcg_high", _DOUBLE, "share", "upper end of its 95 % interval", nullable=True),
    ),
    later=True,
)
TABLES: Final = {
    table.name: table
    for table in (
        RECOMMENDATIONS,
        SIMILAR_ITEMS,
        POPULAR_ITEMS,
        MODEL_METRICS,
        RELEASE_SCORES,
        VALIDATION_RESULTS,
    )
}


def table(name: str) -> Table:
    """Return the table of this name; UserError for an unknown name."""
    if name not in TABLES:
        raise UserError(f"unknown table {name!r}; known: {', '.join(TABLES)}")
    return TABLES[name]


def markdown(table: Table) -> str:
    """Return the section of docs/tables.md that documents this table."""
    lines = [
        f"## {table.name}",
        f"One row per {table.row}.",
        f"Sorted by {', '.join(table.key)}.",
        "",
        "| column | type | null | unit | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for column in table.columns:
        kind = "int64 or string" if isinstance(column.type, str) else str(column.type)
        null = "yes" if column.nullable else "no"
        lines.append(f"| {column.name} | {kind} | {null} | {column.unit} | {column.meaning} |")
    return "\n".join(lines) + "\n"
