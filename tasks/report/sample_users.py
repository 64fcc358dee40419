"""The users a report shows: a heavy, a light and a filled one, with what they did and what they are shown."""

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
    """One user: why this one, the events and items they have, their last items, and their list (or none)."""

    kind: str
    user_id: Any
    events: int
    items: int
    history: list[Row]
    recommended: list[Row]


def sample_users(
    con: duckdb.DuckDBPyConnection, dataset: Path, recommendations: Path | None, served: str, number: int
) -> list[Sample]:
    """Return up to `number` users, always the same of the same data.

    First the one with the most events, the one with the fewest, and one whose list the model did not fill
    alone, then others between. Bots are left out, but for the list that the model did not fill.
    `recommendations` is the Parquet file of the lists, if there are any.
    """
    if not parts_of(dataset, "users"):
        return []
    wanted: dict[int, str] = {}
    for kind, user in _chosen(con, dataset, recommendations, served, number):
        if len(wanted) < number:
            wanted.setdefault(user, kind)
    return [_sample(con, dataset, recommendations, kind, user) for user, kind in wanted.items()]


def _chosen(
    con: duckdb.DuckDBPyConnection, dataset: Path, recommendations: Path | None, served: str, number: int
) -> Iterator[tuple[str, int]]:
    users = parquet(dataset / "users")
    ordered = f"SELECT user_index FROM {users} WHERE NOT bot"
    taken = []
    for kind, order in (("a heavy user", "events DESC, user_id"), ("a light user", "events, user_id DESC")):
        for (user,) in _rows(con, f"{ordered} ORDER BY {order} LIMIT 1"):
            taken.append(user)
            yield kind, user
    if recommendations is not None:
        yield from _filled(con, users, recommendations, served, taken)
    (count,) = _rows(con, f"SELECT count(*) FROM {users} WHERE NOT bot")[0]
    for part in range(1, number + 1):
        place = count * part // (number + 1)
        sql = f"{ordered} ORDER BY events DESC, user_id LIMIT 1 OFFSET {place}"
        yield from (("a user in between", row[0]) for row in _rows(con, sql))


def _filled(
    con: duckdb.DuckDBPyConnection, users: str, recommendations: Path, served: str, taken: list[int]
) -> Iterator[tuple[str, int]]:
    """Yield the first user, not of those taken, whose list the served model did not fill alone, if any.

    Rather one whose whole list came from elsewhere than one whose list only ends so; rather no bot.
    """
    others = ", ".join(str(user) for user in (-1, *taken))
    for place in ("NOT bot AND rank = 1", "rank = 1", "NOT bot", "true"):
        sql = f"""SELECT min(user_index) FROM {users} JOIN {parquet(recommendations)} USING (user_id)
            WHERE {place} AND source <> ? AND user_index NOT IN ({others})"""
        user = _rows(con, sql, [served])[0][0]
        if user is not None:
            yield "a user whose list the model did not fill alone", user
            return


def _sample(
    con: duckdb.DuckDBPyConnection, dataset: Path, recommendations: Path | None, kind: str, user: int
) -> Sample:
    paths = {name: parquet(dataset / name) for name in ("users", "items", "sequences")}
    found = _rows(con, f"SELECT user_id, events, items FROM {paths['users']} WHERE user_index = ?", [user])
    place = {"user": str(user), "limit": str(SHOWN)}
    listed = []
    if recommendations is not None:
        listed = _records(
            con, "lists", recommendations=parquet(recommendations), **place,
            users=paths["users"], items=paths["items"],
        )  # fmt: skip
    history = _records(con, "history", sequences=paths["sequences"], items=paths["items"], **place)
    user_id, events, items = found[0]
    return Sample(kind, user_id, events, items, history, listed)


def _records(con: duckdb.DuckDBPyConnection, query: str, **parts: str) -> list[Row]:
    rows: list[Row] = con.sql(render(f"report/{query}", parts)).to_arrow_table().to_pylist()
    return rows


def _rows(con: duckdb.DuckDBPyConnection, sql: str, values: list[Any] | None = None) -> list[Any]:
    return con.execute(sql, values or []).fetchall()
