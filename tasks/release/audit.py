"""The audit of a staged release: every promise about the tables, checked before publication."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sql.engines.text import render
from tasks.release.database import connection, parquet
from tasks.release.tables import (
    GLOBAL_SEGMENT,
    MODEL_METRICS,
    RELEASE_SCORES,
    SEEN_BEFORE,
    TABLES,
    IdTypes,
)
from tasks.runtime.errors import UserError
from tasks.runtime.resources import Resources

_SLICE_ROWS: Final = 2_000_000  # rows joined at a time, which bounds the memory for any table size
_KEYS: Final = {
    "recommendations": "user_id",
    "similar_items": "item_id",
    "popular_items": "(segment, segment_value, window_days)",
}
_ITEMS: Final = (
    ("recommendations", "item_id"),
    ("similar_items", "similar_item_id"),
    ("popular_items", "item_id"),
)
_MENTIONED: Final = (("recommendations", "reason_item_id"), ("similar_items", "item_id"))


@dataclass(frozen=True)
class Expectations:
    """What a release is audited against: the run's dataset files, list length and rules.

    `blocked` holds ids of items that must not be recommended. `similar` is the number of rows per
    item in similar_items; None skips the check. `repeats` allows items that the user had before;
    `shortage_repeats` allows them in rows with source `seen_before`.
    """

    users: Path
    items: Path
    entries: Path
    n: int
    ids: IdTypes
    resources: Resources
    similar: int | None = None
    repeats: bool = False
    shortage_repeats: bool = False
    blocked: Sequence[int] | Sequence[str] = ()


@dataclass(frozen=True)
class Failure:
    """A failed check, with counts but never an id."""

    table: str
    check: str
    observed: str
    expected: str

    def __str__(self) -> str:
        return f"{self.table}: {self.check}: expected {self.expected}, got {self.observed}"


@dataclass(frozen=True)
class Audit:
    """The outcome for a staging folder; a release is published only if its own audit passed."""

    folder: Path
    checks: int
    failures: tuple[Failure, ...]

    def require_passed(self) -> None:
        """Raise UserError that lists every failure, if there is one."""
        if self.failures:
            listed = "\n".join(f"- {failure}" for failure in self.failures)
            raise UserError(f"the audit refused the release, {len(self.failures)} checks failed:\n{listed}")


_Check = tuple[str, str, Any, Any]  # table, check, observed, expected; the last two must be equal


def audit(folder: Path, expectations: Expectations) -> Audit:
    """Check the Parquet files in `folder`, within the expectations' resources."""
    checks = list(_schemas(folder, expectations.ids))
    if all(observed == expected for _, _, observed, expected in checks):
        with connection(folder, expectations.resources) as con:
            con.register(
                "blocked_ids", pa.table({"item_id": pa.array(expectations.blocked, expectations.ids.item)})
            )
            con.execute("CREATE TEMP TABLE blocked AS FROM blocked_ids")
            checks += _Auditor(con, folder, expectations).run()
    failures = tuple(
        Failure(table, check, str(observed), str(expected))
        for table, check, observed, expected in checks
        if observed != expected
    )
    return Audit(folder, len(checks), failures)


def _schemas(folder: Path, ids: IdTypes) -> Iterator[_Check]:
    for table in TABLES.values():
        path = folder / f"{table.name}.parquet"
        if not path.is_file():
            yield table.name, "file", "no file", path.name
            continue
        try:
            observed = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            yield table.name, "file", f"unreadable: {error}", "a Parquet file"
            continue
        yield table.name, "schema", _described(observed), _described(table.schema(ids))


def _described(schema: Any) -> str:
    return ", ".join(f"{field.name} {field.type}{'' if field.nullable else ' not null'}" for field in schema)


class _Auditor:
    """The checks that read rows; the SQL is in sql/release/audit_*.sql."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, expectations: Expectations) -> None:
        self.con = con
        self.expectations = expectations
        self.files = {name: parquet(folder / f"{name}.parquet") for name in TABLES}
        dataset = (expectations.users, expectations.items, expectations.entries)
        self.users, self.items, self.entries = (parquet(path) for path in dataset)

    def run(self) -> list[_Check]:
        checks = [check for name in _KEYS for check in (*self.order(name), *self.duplicates(name))]
        checks += [check for name, column in _ITEMS for check in self.catalogue(name, column, offered=True)]
        checks += [
            check for name, column in _MENTIONED for check in self.catalogue(name, column, offered=False)
        ]
        checks += [*self.known_users(), *self.known_items(), *self.pairs()]
        return [*checks, *self.fallback(), *self.metrics(), *self.scores()]

    def order(self, name: str) -> Iterator[_Check]:
        self.con.execute("SET threads = 1")  # returns the rows in file order
        row = self.row("order", table=self.files[name], key=_KEYS[name])
        self.con.execute(f"SET threads = {self.expectations.resources.threads}")
        yield name, "rows with a score that is not finite", row["not_finite"], 0
        yield name, f"rows not sorted by {_KEYS[name]}", row["unsorted"], 0
        yield name, "rows whose ranks do not count 1, 2, 3, ... within the list", row["misranked"], 0
        yield name, "rows with a higher score than the rank before", row["rising"], 0

    def duplicates(self, name: str) -> Iterator[_Check]:
        if name == "recommendations":
            return  # pairs() counts them, where ids are small integers
        item = dict(_ITEMS)[name]
        is_itself = "item_id = similar_item_id" if name == "similar_items" else "false"
        counts = {"duplicates": 0, "itself": 0}
        for part in self.slices(name):
            row = self.row(
                "duplicates", table=self.files[name], key=_KEYS[name], item=item, itself=is_itself, slice=part
            )
            counts = {key: count + row[key] for key, count in counts.items()}
        yield name, "rows that repeat an item of their list", counts["duplicates"], 0
        yield name, "rows that list the item itself", counts["itself"], 0

    def catalogue(self, name: str, column: str, *, offered: bool) -> Iterator[_Check]:
        row = self.row("items", table=self.files[name], item=column, items=self.items)
        for check in ("unknown", "unavailable", "blocked") if offered else ("unknown",):
            yield name, f"rows with an {check} item in {column}".replace("an b", "a b"), row[check], 0

    def known_users(self) -> Iterator[_Check]:
        name, n = "recommendations", self.expectations.n
        row = self.row("lists", table=self.files[name], key="user_id", known=self.users, n=str(n))
        yield name, "users who are not in the dataset", row["unknown"], 0
        yield name, "known users without rows", row["missing"], 0
        yield name, f"users with more or fewer than {n} rows", row["not_n"], 0

    def known_items(self) -> Iterator[_Check]:
        name, n = "similar_items", self.expectations.similar
        if n:
            row = self.row("lists", table=self.files[name], key="item_id", known=self.items, n=str(n))
            yield name, "known items without rows", row["missing"], 0
            yield name, f"items with more or fewer than {n} rows", row["not_n"], 0

    def pairs(self) -> Iterator[_Check]:
        name = "recommendations"
        counts = {"duplicates": 0, "seen": 0, "unfounded": 0}
        paths = {"users": self.users, "items": self.items, "entries": self.entries}
        repeat_source = f"'{SEEN_BEFORE}'" if self.expectations.shortage_repeats else "''"
        for part in self.slices(name):
            row = self.row("pairs", table=self.files[name], slice=part, repeat_source=repeat_source, **paths)
            counts = {key: count + row[key] for key, count in counts.items()}
        yield name, "rows that repeat an item of their list", counts["duplicates"], 0
        yield name, "rows whose reason is not in the user's history", counts["unfounded"], 0
        if not self.expectations.repeats:
            yield name, "rows with an item that the user had before", counts["seen"], 0

    def fallback(self) -> Iterator[_Check]:
        sql = f"SELECT count(*) > 0 AS present FROM {self.files['popular_items']} WHERE segment = ?"
        row = self.rows(sql, [GLOBAL_SEGMENT])[0]
        yield "popular_items", f"rows for the segment '{GLOBAL_SEGMENT}'", row["present"], True

    def metrics(self) -> Iterator[_Check]:
        rows = self.rows(f"SELECT * FROM {self.files[MODEL_METRICS.name]}")
        figures = [row[key] for row in rows for key in ("value", "ci_low", "ci_high") if row[key] is not None]
        keys = {tuple(row[key] for key in MODEL_METRICS.key) for row in rows}
        yield MODEL_METRICS.name, "figures that are not finite", sum(not math.isfinite(f) for f in figures), 0
        yield MODEL_METRICS.name, "rows whose key is not unique", len(rows) - len(keys), 0

    def scores(self) -> Iterator[_Check]:
        name = RELEASE_SCORES.name
        row = self.row("release_scores", table=self.files[name], key=", ".join(RELEASE_SCORES.key))
        yield name, "rows with a part that is larger than its whole", row["contradictory"], 0
        yield name, "rows with events that do not follow the judged release", row["undated"], 0
        yield name, "rows with a figure that is no share, or is outside its interval", row["no_shares"], 0
        yield name, "rows whose key is not unique", row["repeated"], 0

    def slices(self, name: str) -> Iterator[str]:
        """Yield conditions that cut a table into about _SLICE_ROWS rows, never within a list."""
        key, leading = _KEYS[name], TABLES[name].key[0]
        sql = f"SELECT {leading} AS edge FROM {self.files[name]} WHERE file_row_number > 0"
        edges = [
            row["edge"] for row in self.rows(f"{sql} AND file_row_number % {_SLICE_ROWS} = 0 ORDER BY edge")
        ]
        literals = ["'" + e.replace("'", "''") + "'" if isinstance(e, str) else str(e) for e in edges]
        if not literals or key != leading:
            yield "true"
            return
        yield f"{leading} < {literals[0]}"
        for low, high in zip(literals, [*literals[1:], None], strict=True):
            yield f"{leading} >= {low}" + (f" AND {leading} < {high}" if high else "")

    def row(self, query: str, **parts: str) -> dict[str, Any]:
        return self.rows(render(f"release/audit_{query}", parts))[0]

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        try:
            relation = self.con.sql(sql, params=list(values)) if values else self.con.sql(sql)
            return relation.to_arrow_table().to_pylist()  # type: ignore[no-any-return]
        except duckdb.Error as error:
            raise UserError(f"the audit could not read the release: {error}") from error
