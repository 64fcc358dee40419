"""The sample users of a report, with their history and their recommendations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from sql.engines.text import render
from tasks.dataset.parts import parts_of
from tasks.release.database import parquet

SHOWN: Final = 10  # items of a history, and of a list
Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A sample user: why they were chosen, their history and their list."""

    kind: str
    user_id: Any
    events: int
    items: int
    history: list[Row]
    recommended: list[Row]


def sample_users(
    con: duckdb.DuckDBPyConnection, dataset: Path, recommendations: Path | None, served: str, number: int
) -> list[Sample]:
    """Return up to `number` users, always the same ones for the same data.

    The first are the user with the most events, the one with the fewest, and one whose list the
    model did not fill alone; then users in between. Bots are left out, unless only a bot has such a
    list. `recommendations` is the Parquet file of the lists, or None.
    """
    if not parts_of(dataset, "users"):
        return []
    kinds: dict[int, str] = {}
    for kind, user in _candidates(con, dataset, recommendations, served, number):
        if len(kinds) < number:
            kinds.setdefault(user, kind)
    return [_sample(con, dataset, recommendations, kind, user) for user, kind in kinds.items()]


def _candidates(
    con: duckdb.DuckDBPyConnection, dataset: Path, recommendations: Path | None, served: str, number: int
) -> Iterator[tuple[str, int]]:
    users = parquet(dataset / "users")
    ordered = f"SELECT user_index FROM {users} WHERE NOT bot"
    chosen = []
    for kind, order in (("a heavy user", "events DESC, user_id"), ("a light user", "events, user_id DESC")):
        for (user,) in _rows(con, f"{ordered} ORDER BY {order} LIMIT 1"):
            chosen.append(user)
            yield kind, user
    if recommendations is not None:
        yield from _partly_filled(con, users, recommendations, served, chosen)
    (count,) = _rows(con, f"SELECT count(*) FROM {users} WHERE NOT bot")[0]
    for part in range(1, number + 1):
        offset = count * part // (number + 1)
        sql = f"{ordered} ORDER BY events DESC, user_id LIMIT 1 OFFSET {offset}"
        yield from (("a user in between", row[0]) for row in _rows(con, sql))


def _partly_filled(
    con: duckdb.DuckDBPyConnection, users: str, recommendations: Path, served: str, chosen: list[int]
) -> Iterator[tuple[str, int]]:
    """Yield a user, none of the `chosen`, whose list the served model did not fill alone, if any.

    Users whose first item already has another source come first, then users whose list merely ends
    with one. In each group, bots come last.
    """
    excluded = ", ".join(str(user) for user in (-1, *chosen))
    for condition in ("NOT bot AND rank = 1", "rank = 1", "NOT bot", "true"):
        sql = f"""SELECT min(user_index) FROM {users} JOIN {parquet(recommendations)} USING (user_id)
            WHERE {condition} AND source <> ? AND user_index NOT IN ({excluded})"""
        user = _rows(con, sql, [served])[0][0]
        if user is not None:
            yield "a user whose list the model did not fill alone", user
            return


def _sample(
    con: duckdb.DuckDBPyConnection, dataset: Path, recommendations: Path | None, kind: str, user: int
) -> Sample:
    paths = {name: parquet(dataset / name) for name in ("users", "items", "sequences")}
    facts = _rows(con, f"SELECT user_id, events, items FROM {paths['users']} WHERE user_index = ?", [user])
    parameters = {"user": str(user), "limit": str(SHOWN)}
    listed = []
    if recommendations is not None:
        listed = _records(
            con, "lists", recommendations=parquet(recommendations), **parameters,
            users=paths["users"], items=paths["items"],
        )  # fmt: skip
    history = _records(con, "history", sequences=paths["sequences"], items=paths["items"], **parameters)
    user_id, events, items = facts[0]
    return Sample(kind, user_id, events, items, history, listed)


def _records(con: duckdb.DuckDBPyConnection, query: str, **parts: str) -> list[Row]:
    rows: list[Row] = con.sql(render(f"report/{query}", parts)).to_arrow_table().to_pylist()
    return rows


def _rows(con: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> list[Any]:
    return con.execute(sql, values or []).fetchall()
