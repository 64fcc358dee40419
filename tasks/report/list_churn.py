"""How far the lists of one night differ from those of another: overlap of the first places, by user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from sql.engines.text import render
from tasks.release.database import parquet

DEPTH: Final = 10  # first places that are compared
USERS: Final = 200_000  # compared at most, about: bounds the time whatever the number of users


@dataclass(frozen=True)
class Churn:
    """Users by the items they keep: `kept[j]` keep j of their first `depth`, in whatever place.

    `same` users have the same items in the same places. `kept` has depth + 1 figures and sums to `users`,
    those who are in both tables; `share` of all users is what was looked at.
    """

    depth: int
    kept: tuple[int, ...]
    same: int
    share: float = 1.0

    @property
    def users(self) -> int:
        """The users compared."""
        return sum(self.kept)

    @property
    def changed(self) -> float:
        """The share of users with at least one other item."""
        return 1 - self.kept[-1] / self.users

    @property
    def overlap(self) -> float:
        """The mean share of items kept: |A and B| / depth."""
        return sum(n * users for n, users in enumerate(self.kept)) / (self.depth * self.users)


def list_churn(
    con: duckdb.DuckDBPyConnection, before: Path, after: Path, depth: int = DEPTH, users: int = USERS
) -> Churn | None:
    """Compare two tables of recommendations; None where no user is in both or the ids changed their type.

    `depth` is cut to the shorter lists. Of many users every m-th is looked at, chosen by a hash of the id, so
    that about `users` are left.
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
