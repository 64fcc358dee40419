"""Fourteen nights of a small shop: taste, logs, lists of known quality, and their scores in pandas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.release.releases import Release
from tasks.release.tables import IdTypes
from tasks.release.writer import TableWriter

FIRST, NIGHTS, LENGTH, KS = date(2026, 3, 1), 14, 8, (3, 8)
USERS, ITEMS, TASTES = 40, 60, 4
MORE: dict[str, Any] = {"evaluation": {"ks": KS}, "dataset": {"positive": "value >= 1"}}
COUNTS = ["users", "users_listed", "users_judged", "users_hit", "events", "events_listed", "events_found"]
COUNTS += ["listed_rows", "pairs", "hits"]
MEANS = ["recall", "ndcg", "ndcg_low", "ndcg_high"]


@dataclass
class Taste:
    """Users of four tastes, and items that one taste likes; what users meet follows their taste."""

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def __post_init__(self) -> None:
        liked = np.arange(USERS)[:, None] % TASTES == np.arange(ITEMS) % TASTES
        self.chances = np.where(liked, 6.0, 1.0) * np.geomspace(4, 1, ITEMS)

    def events(self) -> pd.DataFrame:
        """Return the events of all nights: user, item, time and value; a value of 0 does not count."""
        rows = []
        for night in range(NIGHTS):
            for user in self.random.choice(USERS - night % 3, 25, replace=False):
                chances = self.chances[user] / self.chances[user].sum()
                for item in self.random.choice(ITEMS, 1 + user % 4, p=chances):
                    seconds = int(self.random.integers(86_400))
                    time = datetime.combine(FIRST, datetime.min.time()) + timedelta(night, seconds)
                    value = float(self.random.random() < 0.8)
                    rows.append((f"u{user}", f"i{item:02}", time, value))
        return pd.DataFrame(rows, columns=["user", "item", "time", "value"]).drop_duplicates()

    def lists(self, known: pd.DataFrame) -> pd.DataFrame:
        """Return the lists of the users in `known`: unseen items, the likeliest first."""
        rows = []
        for user, seen in known.groupby("user")["item"]:
            order = [f"i{item:02}" for item in np.argsort(-self.chances[int(user[1:])], kind="stable")]
            unseen = [item for item in order if item not in set(seen)][:LENGTH]
            rows += [(user, rank, item) for rank, item in enumerate(unseen, 1)]
        lists = pd.DataFrame(rows, columns=["user_id", "rank", "item_id"])
        lists["source"] = np.where(lists["rank"] <= LENGTH - 2, "als", "popular_all_time")
        return lists


def oracle(lists: pd.DataFrame, events: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Return the lists of a seer: what each user will meet for the first time comes first."""
    met = events[(events["time"] >= now) & (events["time"] < now + pd.Timedelta(days=1))]
    rows = []
    for user, group in lists.groupby("user_id"):
        seen = set(events.loc[(events["time"] < now) & (events["user"] == user), "item"])
        coming = met.loc[(met["user"] == user) & (met["value"] >= 1), "item"]
        fresh = [item for item in coming if item not in seen]
        items = list(dict.fromkeys([*fresh, *group["item_id"]]))[:LENGTH]
        rows += [(user, rank, item) for rank, item in enumerate(items, 1)]
    planted = pd.DataFrame(rows, columns=["user_id", "rank", "item_id"])
    return planted.assign(source=lists["source"].iloc[: len(planted)].to_numpy())


def swapped(lists: pd.DataFrame) -> pd.DataFrame:
    """Return the lists given to users of another taste, each ordered from its end."""
    users = lists["user_id"].unique().tolist()
    owners = dict(zip(users, users[1:] + users[:1], strict=True))
    planted = lists.assign(user_id=lists["user_id"].map(owners), rank=LENGTH + 1 - lists["rank"])
    return planted.sort_values(["user_id", "rank"], ignore_index=True)


def kept(folder: Path, as_of: date, ids: IdTypes, **tables: Any) -> Release:
    """Return a release of these tables; scores and reasons of recommendations do not matter."""
    release = Release(f"{as_of}-made", as_of, folder / str(as_of), active=True)
    lists = tables["recommendations"]
    tables["recommendations"] = {
        **{name: lists[name].tolist() for name in lists.columns},
        "score": [0.0] * len(lists),
        "reason_item_id": [None] * len(lists),
    }
    for name, rows in tables.items():
        with TableWriter(release.folder, name, ids) as writer:
            writer.write(rows)
    return release


def expected(events: pd.DataFrame, lists: pd.DataFrame, night: int) -> pd.DataFrame:
    """Return the scores of a night, computed from the log in pandas: segments all, source and rank."""
    cut = pd.Timestamp(FIRST) + pd.Timedelta(days=night)
    before, since = events[events["time"] < cut], events[events["time"] >= cut]
    since = since[(since["time"] < cut + pd.Timedelta(days=1)) & (since["value"] >= 1)]
    met = since.groupby(["user", "item"]).size().rename("events").reset_index()
    old = before[["user", "item"]].drop_duplicates().assign(old=True)
    met = met.merge(old, how="left", on=["user", "item"])
    met["fresh"] = met["old"].isna()
    shown = lists[lists["user_id"].isin(met["user"])].merge(
        met, how="left", left_on=["user_id", "item_id"], right_on=["user", "item"]
    )
    shown["hit"] = shown["fresh"].eq(True)  # a missing value is no
    slices = [("all", "all", k, shown[shown["rank"] <= k]) for k in KS]
    slices += [
        ("source", source, k, group[group["rank"] <= k])
        for source, group in shown.groupby("source")
        for k in KS
        if (group["rank"] <= k).any()
    ]
    slices += [("rank", str(rank), rank, group) for rank, group in shown.groupby("rank")]
    rows = [
        {"segment": segment, "segment_value": value, "k": k}
        | _figures(met if segment == "all" else met[met["user"].isin(part["user_id"])], part, k, lists)
        for segment, value, k, part in slices
    ]
    return pd.DataFrame(rows).sort_values(["segment", "segment_value", "k"], ignore_index=True)


def _figures(met: pd.DataFrame, shown: pd.DataFrame, k: int, lists: pd.DataFrame) -> dict[str, Any]:
    listed = met[met["user"].isin(lists["user_id"])]
    fresh = listed[listed["fresh"]].groupby("user").size()
    hits = shown[shown["hit"]]
    gains = (1 / np.log2(hits["rank"] + 1)).groupby(hits["user_id"]).sum()
    ideal = fresh.map(lambda n: sum(1 / math.log2(rank + 1) for rank in range(1, min(n, k) + 1)))
    ndcg = (gains.reindex(fresh.index).fillna(0) / ideal).astype(float)
    recall = hits.groupby("user_id").size().reindex(fresh.index).fillna(0) / fresh
    half = 1.959963984540054 * ndcg.std() / math.sqrt(len(ndcg)) if len(ndcg) else math.nan
    counts = [met["user"].nunique(), listed["user"].nunique(), len(fresh), hits["user_id"].nunique()]
    counts += [met["events"].sum(), listed["events"].sum(), shown["events"].sum(), len(shown)]
    counts += [fresh.sum(), len(hits)]
    means = [recall.mean(), ndcg.mean(), max(ndcg.mean() - half, 0), min(ndcg.mean() + half, 1)]
    return dict(zip([*COUNTS, *MEANS], [*map(int, counts), *means], strict=True))
