"""Queries on a release: any SELECT, and those of `show`; locked down and quick to start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb

from tasks.release.releases import Release, current, open_release
from tasks.release.tables import GLOBAL_SEGMENT
from tasks.release.windows import hours_of
from tasks.runtime.errors import UserError
from tasks.runtime.resources import Resources
from tasks.store.layout import Store

READER: Final = Resources.of(2 * 2**30, 2)
"""The resources of readers, who have no configuration."""
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_READS: Final = ("SELECT", "EXPLAIN")


def query(
    store: Store,
    sql: str,
    release: str | None = None,
    *,
    resources: Resources | None = None,
    limit: int | None = None,
) -> Any:
    """Return the result of a SELECT on a release, by default the active one, as a pyarrow Table.

    Only the first `limit` rows are computed; None computes all. `resources` are READER's by
    default. The statement can read the release's own tables and nothing else: no other file, no
    network, no settings. UserError, of a single line, for anything other than a single SELECT and
    for errors of DuckDB.
    """
    with _opened(_release(store, release), resources or READER) as con:
        return _answer(con, sql, limit=limit)


def recommendations_of(store: Store, user_id: int | str, release: str | None = None) -> Any:
    """Return a user's recommendations with titles, by rank; no rows for an unknown user."""
    return _lookup(store, "recommendations", "user_id", user_id, release)


def item(store: Store, item_id: str, release: str | None = None) -> Any:
    """Return item_id and title of a catalogue item; no row for an unknown item."""
    with _opened(_release(store, release), READER) as con:
        typed = _typed(con, "items", "item_id", item_id)
        return _answer(con, "SELECT item_id, title FROM items WHERE item_id = ?", [typed])


def similar_to(store: Store, item_id: int | str, release: str | None = None) -> Any:
    """Return the items similar to an item with titles, by rank; no rows for an unknown item."""
    return _lookup(store, "similar_items", "item_id", item_id, release)


def popular(
    store: Store,
    segment: str = GLOBAL_SEGMENT,
    value: str | None = None,
    window_days: float | None = None,
    release: str | None = None,
) -> Any:
    """Return a segment's popular items with titles, by value, window and rank.

    Without `value` or `window_days`, all values or windows are returned. A window of 6 hours has
    0.25 days. Releases made before windows could be hours have whole numbers (int32) of days.
    """
    conditions = {"segment": segment, "segment_value": value, "window_days": window_days}
    set_conditions = {column: term for column, term in conditions.items() if term is not None}
    where = " AND ".join(f"{column} = ?" for column in set_conditions)
    sql = f"SELECT * FROM popular_items_with_titles WHERE {where} ORDER BY segment_value, window_days, rank"
    with _opened(_release(store, release), READER) as con:
        return _answer(con, sql, list(set_conditions.values()))


def fallback_items(store: Store, release: str | None = None) -> Any:
    """Return the list for users without recommendations: popular items of the fallback window."""
    import pyarrow.compute as pc

    opened = _release(store, release)
    table = popular(store, release=opened.release_id)
    windows = set(table["window_days"].to_pylist())
    settings = opened.manifest().get("configuration") or {}
    configured = (settings.get("popular") or {}).get("fallback_window")
    days = None if configured is None else hours_of(configured) / 24
    if days not in windows:
        days = min(windows, default=0)
    return table.filter(pc.equal(table["window_days"], days))


def _lookup(store: Store, table: str, column: str, id_: int | str, release: str | None) -> Any:
    with _opened(_release(store, release), READER) as con:
        sql = f"SELECT * FROM {table}_with_titles WHERE {column} = ? ORDER BY rank"
        return _answer(con, sql, [_typed(con, table, column, id_)])


def _typed(con: duckdb.DuckDBPyConnection, table: str, column: str, id_: int | str) -> int | str:
    """Return an id in the type of its column; UserError if it is not of that type."""
    sql = "SELECT data_type FROM duckdb_columns() WHERE table_name = ? AND column_name = ?"
    kind = _answer(con, sql, [table, column])["data_type"][0].as_py()
    if kind == "VARCHAR":
        if not isinstance(id_, str):
            raise UserError(f"expected a {column} of type {kind} (text), got {id_!r}")
        return id_
    text = str(id_)
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise UserError(f"expected a {column} of type {kind} (a whole number), got {id_!r}")
    return int(text)


def _release(store: Store, release: str | None) -> Release:
    return current(store) if release is None else open_release(store, release)


@contextmanager
def _opened(release: Release, resources: Resources) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": "",  # a query that exceeds its memory fails, and writes nothing
        **resources.duckdb_settings,
        "lock_configuration": "true",
    }
    try:
        con = duckdb.connect(str(release.database), read_only=True, config=config)
    except duckdb.Error as error:
        raise UserError(f"cannot open {release.database}: {_one_line(error)}") from error
    with con:
        yield con


def _answer(
    con: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None, limit: int | None = None
) -> Any:
    try:
        statements = con.extract_statements(sql)
        kinds = [_kind(statement) for statement in statements]
        if len(kinds) != 1 or kinds[0] not in _READS:
            raise UserError(f"expected one SELECT statement, got {', '.join(kinds) or 'none'}")
        relation = con.sql(sql, params=values)
        return (relation if limit is None else relation.limit(limit)).to_arrow_table()
    except duckdb.Error as error:
        raise UserError(_one_line(error)) from error


def _kind(statement: duckdb.Statement) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # the Python package does not name every statement type
        return "another statement"


def _one_line(error: duckdb.Error) -> str:
    """Return DuckDB's message on one line, without the excerpt of the statement below it."""
    return " ".join(str(error).partition("\n\nLINE")[0].split())
