"""What a night says about the lists that readers had, in one sentence."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Row = dict[str, Any]


def no_release(as_of: date) -> str:
    """Return that readers had no lists before a night."""
    return f"readers had no release before {as_of}: there are no lists to judge"


def not_judged(judged: date, reason: str) -> str:
    """Return why the lists of a release cannot be judged."""
    return f"the lists of {judged} cannot be judged: {reason}"


def sentence(rows: pa.Table, judged: date) -> str:
    """Return what one night's rows say about the lists of `judged`, at their full length."""
    row = whole_lists(rows)
    if row is None:
        return f"the lists of {judged} cannot be judged: no event since"
    listed, in_list = (_share(row[name], row["events"]) for name in ("events_listed", "events_found"))
    found = f"{listed} of {row['events']:,} events since by users with a list, {in_list} with an item of it"
    if not row["users_judged"]:
        return f"the lists of {judged}: {found}; no user with a list met anything new"
    hit = f"{_share(row['users_hit'], row['users_judged'])} of {row['users_judged']:,} users found something"
    return f"the lists of {judged}: {hit} they met since; NDCG@{row['k']} {row['ndcg']:.4f}; {found}"


def whole_lists(rows: pa.Table) -> Row | None:
    """Return the last night's row of all users and the whole lists; None without rows."""
    everybody = rows.filter(pc.field("segment") == "all")
    last = everybody.sort_by([("as_of", "descending"), ("k", "descending")]).slice(0, 1)
    return next(iter(last.to_pylist()), None)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
