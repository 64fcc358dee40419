"""How far the lists of two nights differ: the overlap of each user's first items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from sql.engines.text import render
from tasks.release.database import parquet

DEPTH: Final = 10  # first ranks compared
USERS: Final = 200_000  # compared at most, approximately; bounds the time


@dataclass(frozen=True)
class Churn:
    """Users by the items they keep: `kept[j]` users keep j of their first `depth`, at any rank.

    `same` users have the same items at the same ranks. `kept` has depth + 1 counts and sums to
    `users`, the compared users with lists in both tables. `share` is the sampled share of all
    users.
    """

    depth: int
    kept: tuple[int, ...]
    same: int
    share: float = 1.0

    @property
    def users(self) -> int:
        """The number of compared users."""
        return sum(self.kept)

    @property
    def changed(self) -> float:
        """The share of users with at least one new item."""
        return 1 - self.kept[-1] / self.users

    @property
    def overlap(self) -> float:
        """The mean share of items kept: |A and B| / depth."""
        return sum(n * users for n, users in enumerate(self.kept)) / (self.depth * self.users)


def list_churn(
    con: duckdb.DuckDBPyConnection, before: Path, after: Path, depth: int = DEPTH, users: int = USERS
) -> Churn | None:
    """Compare two tables of recommendations; None if no user is in both or the type of ids changed.

    `depth` is cut to the shorter lists. If there are more than `users` users, every m-th is
    compared, chosen by a hash of the id, so that about `users` are.
    """
    schemas = [pq.read_schema(path) for path in (before, after)]
    if any(schemas[0].field(name).type != schemas[1].field(name).type for name in ("user_id", "item_id")):
        return None
    rows = con.sql(f"SELECT min(n) FROM (SELECT max(rank) AS n FROM {parquet(before)} UNION ALL "
                   f"SELECT max(rank) FROM {parquet(after)})").fetchall()  # fmt: skip
    depth = min(depth, rows[0][0] or 0)
    if not depth:
        return None
    lists = con.sql(f"SELECT count(*) FROM {parquet(after)} WHERE rank = 1").fetchall()[0][0]
    step = -(-lists // users)
    sample = "true" if step == 1 else f"hash(user_id) % {step} = 0"
    parts = {"before": parquet(before), "after": parquet(after), "depth": depth, "sample": sample}
    sql = render("report/list_churn", parts)
    kept, same = [0] * (depth + 1), 0
    for n, count, unchanged in con.sql(sql).fetchall():
        kept[n], same = count, same + unchanged
    return Churn(depth, tuple(kept), same, 1 / step) if any(kept) else None
