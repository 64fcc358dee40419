"""Questions to a release: any SELECT, and the ready ones of `show`; locked down, and quick to start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb

from tasks.release.releases import Release, current, open_release
from tasks.release.tables import GLOBAL_SEGMENT
from tasks.runtime.errors import UserError
from tasks.store.layout import Store

_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_READS: Final = ("SELECT", "EXPLAIN")


def query(
    store: Store,
    sql: str,
    release: str | None = None,
    *,
    memory_limit: str = "1GB",
    threads: int = 2,
    limit: int | None = None,
) -> Any:
    """Answer one SELECT on a release, the active one unless an id is given, as a pyarrow Table.

    Only the first `limit` rows of the answer are made; None makes them all. The statement can read the
    release's own tables and nothing else: no other file, no network, no settings. UserError, of one line,
    for anything that is not one SELECT and for DuckDB's complaints.
    """
    with _opened(_release(store, release), memory_limit, threads) as con:
        return _answer(con, sql, limit=limit)


def recommendations_of(store: Store, user_id: int | str, release: str | None = None) -> Any:
    """Return the recommendations of one user with titles, by rank; no rows for an unknown user."""
    return _lookup(store, "recommendations", "user_id", user_id, release)


def item(store: Store, item_id: str, release: str | None = None) -> Any:
    """Return item_id and title of one item of the catalogue; no row for an unknown item."""
    with _opened(_release(store, release)) as con:
        typed = _typed(con, "items", "item_id", item_id)
        return _answer(con, "SELECT item_id, title FROM items WHERE item_id = ?", [typed])


def similar_to(store: Store, item_id: int | str, release: str | None = None) -> Any:
    """Return the items similar to one item with titles, by rank; no rows where there are none."""
    return _lookup(store, "similar_items", "item_id", item_id, release)


def popular(
    store: Store,
    segment: str = GLOBAL_SEGMENT,
    value: str | None = None,
    window_days: int | None = None,
    release: str | None = None,
) -> Any:
    """Return the popular items of a segment with titles, by value, window and rank; all unless given."""
    wanted = {"segment": segment, "segment_value": value, "window_days": window_days}
    given = {column: wish for column, wish in wanted.items() if wish is not None}
    where = " AND ".join(f"{column} = ?" for column in given)
    sql = f"SELECT * FROM popular_items_with_titles WHERE {where} ORDER BY segment_value, window_days, rank"
    with _opened(_release(store, release)) as con:
        return _answer(con, sql, list(given.values()))


def popular_instead(store: Store, release: str | None = None) -> Any:
    """Return what is shown to a user without recommendations: everybody's list, of the configured window."""
    import pyarrow.compute as pc

    answered = _release(store, release)
    table = popular(store, release=answered.release_id)
    windows = set(table["window_days"].to_pylist())
    settings = answered.manifest().get("configuration") or {}
    window = (settings.get("popular") or {}).get("fallback_window")
    if window not in windows:
        window = min(windows, default=0)
    return table.filter(pc.equal(table["window_days"], window))


def _lookup(store: Store, table: str, column: str, given: int | str, release: str | None) -> Any:
    with _opened(_release(store, release)) as con:
        sql = f"SELECT * FROM {table}_with_titles WHERE {column} = ? ORDER BY rank"
        return _answer(con, sql, [_typed(con, table, column, given)])


def _typed(con: duckdb.DuckDBPyConnection, table: str, column: str, given: int | str) -> int | str:
    sql = "SELECT data_type FROM duckdb_columns() WHERE table_name = ? AND column_name = ?"
    kind = _answer(con, sql, [table, column])["data_type"][0].as_py()
    if kind == "VARCHAR":
        if not isinstance(given, str):
            raise UserError(f"expected a {column} of type {kind} (text), got {given!r}")
        return given
    text = str(given)
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise UserError(f"expected a {column} of type {kind} (a whole number), got {given!r}")
    return int(text)


def _release(store: Store, release: str | None) -> Release:
    return current(store) if release is None else open_release(store, release)


@contextmanager
def _opened(
    release: Release, memory_limit: str = "1GB", threads: int = 2
) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": "",  # a query that outgrows its memory fails, rather than write beside the release
        "memory_limit": memory_limit,
        "threads": str(threads),
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
    except ValueError:  # of DuckDB's newer statements, its Python package knows the number alone
        return "another statement"


def _one_line(error: duckdb.Error) -> str:
    """Return DuckDB's message without the picture of the statement that follows it."""
    return " ".join(str(error).partition("\n\nLINE")[0].split())
