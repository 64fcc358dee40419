"""The demo world: its logs look real, and models can learn from them."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from tasks.demo.catalogue import CATEGORY_NAMES, WORDS
from tasks.demo.dirt import FLAWS
from tasks.demo.logs import DemoSummary, write_demo_logs
from tasks.demo.world import World, build_world

START = date(2026, 1, 5)  # a Monday
Record = dict[str, str]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    """Return four clean weeks of a medium world."""
    folder = tmp_path_factory.mktemp("month")
    return write_demo_logs(
        folder, start=START, days=28, users=1500, items=600, events_per_day=3000, dirty_share=0.0
    )


@pytest.fixture(scope="module")
def events(month: DemoSummary) -> list[Record]:
    rows: list[Record] = []
    for path in month.files:
        with path.open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    return [row for row in rows if row["user_id"] != "u000000"]


def test_without_dirt_all_rows_are_clean_or_of_the_bot(month: DemoSummary) -> None:
    assert set(filter(month.planted.get, FLAWS)) == {"clean", "bot"}
    assert month.rows == pytest.approx(28 * 3000, rel=0.05)
    assert month.planted["bot"] == pytest.approx(0.03 * 28 * 3000, rel=0.01)


def test_a_tenth_of_the_items_gets_most_events_and_activity_is_heavy_tailed(events: list[Record]) -> None:
    for column, least in (("item_id", 0.4), ("user_id", 0.35)):
        counts = sorted(Counter(row[column] for row in events).values(), reverse=True)
        assert sum(counts[: len(counts) // 10]) > least * len(events)


def test_weekends_are_busier_and_nights_are_quiet(month: DemoSummary, events: list[Record]) -> None:
    weekend = [day.rows for index, day in enumerate(month.days) if index % 7 >= 5]
    weekday = [day.rows for index, day in enumerate(month.days) if index % 7 < 5]
    assert 1.15 < np.mean(weekend) / np.mean(weekday) < 1.4
    hours = Counter(int(row["event_time"][11:13]) for row in events)
    assert sum(hours[hour] for hour in range(18, 22)) > 8 * sum(hours[hour] for hour in range(1, 5))


def test_no_event_is_before_its_items_release_or_its_users_joining(
    month: DemoSummary, events: list[Record]
) -> None:
    with month.users.open(newline="") as users, month.items.open(newline="") as items:
        joined = {row["user_id"]: row["joined"] for row in csv.DictReader(users)}
        released = {row["item_id"]: row["released"] for row in csv.DictReader(items)}
    days = [(row["event_time"][:10], row["user_id"], row["item_id"]) for row in events]
    assert all(day >= joined[user] and day >= released[item] for day, user, item in days)
    assert any(joined[user] > START.isoformat() for _, user, _ in days)
    assert any(released[item] > START.isoformat() for _, _, item in days)


def test_sessions_follow_the_funnel_of_a_single_user_and_day(events: list[Record]) -> None:
    sessions: dict[str, list[Record]] = {}
    for row in events:
        sessions.setdefault(row["session_id"], []).append(row)
    kinds = Counter(row["event_type"] for row in events)
    assert kinds["view"] > 5 * kinds["cart"] > 5 * kinds["purchase"] > 0
    for rows in sessions.values():
        assert len({(row["user_id"], row["event_time"][:10]) for row in rows}) == 1
        times = [row["event_time"] for row in rows]
        assert times == sorted(times)
        before = {("", "")}
        for row in rows:  # in file order, where each step follows the previous
            needed = {"view": "", "cart": "view", "purchase": "cart"}[row["event_type"]]
            assert not needed or (row["item_id"], needed) in before
            before.add((row["item_id"], row["event_type"]))
            assert (row["quantity"] == "") == (row["event_type"] == "view")


def test_a_session_stays_in_a_category_and_a_user_sometimes_returns_to_an_item(
    events: list[Record], month: DemoSummary
) -> None:
    with month.items.open(newline="", encoding="utf-8") as file:
        category = {row["item_id"]: row["category"].split("|")[0] for row in csv.DictReader(file)}
    views = [row for row in events if row["event_type"] == "view"]
    by_session = sorted(views, key=lambda row: row["session_id"])  # a stable sort keeps the order of time
    pairs = [(a, b) for a, b in pairwise(by_session) if a["session_id"] == b["session_id"]]
    within = np.mean([category[a["item_id"]] == category[b["item_id"]] for a, b in pairs])
    by_chance = np.mean([category[a["item_id"]] == category[b["item_id"]] for a, b in pairwise(views)])
    assert within > 0.7
    assert by_chance < 0.3
    met = Counter((row["user_id"], row["item_id"]) for row in views)
    assert 0.1 < 1 - len(met) / len(views) < 0.6


def test_an_item_rises_after_its_release_and_decays_later() -> None:
    world = build_world(start=START, users=50, items=400, events_per_day=100, seed=7)
    new = np.flatnonzero(world.items.released == world.items.released[world.items.released > 0][0])
    at = {age: day_weight(world, new[0], int(world.items.released[new[0]]) + age) for age in (-1, 0, 6, 400)}
    assert at[-1] == 0 < at[0] < at[6]
    assert at[400] < at[6]


def day_weight(world: World, item: int, day: int) -> float:
    shelf = world.shelf(day)
    position = int(np.flatnonzero(shelf.order == item)[0])
    return float(np.diff(shelf.cumulative, prepend=0.0)[position])


def test_item_cosine_learns_what_popularity_does_not(events: list[Record], month: DemoSummary) -> None:
    last = month.files[-1].name[7:17]
    users = {user: index for index, user in enumerate(sorted({row["user_id"] for row in events}))}
    pairs = np.array([(users[row["user_id"]], int(row["item_id"][1:])) for row in events])
    is_last = np.array([row["event_time"][:10] == last for row in events])
    shape = (len(users), 600)
    seen, test = (
        sp.csr_array((np.ones(len(p)), (p[:, 0], p[:, 1])), shape=shape)
        for p in (pairs[~is_last], pairs[is_last])
    )
    seen = (seen > 0).astype(float)
    popularity = np.asarray(seen.sum(axis=0))
    scaled = seen @ sp.diags_array(1 / np.sqrt(np.maximum(popularity, 1)))
    cosine = (scaled.T @ scaled).toarray()
    np.fill_diagonal(cosine, 0)
    history = seen.toarray()
    new = (test.toarray() > 0) & (history == 0) & (history.sum(axis=1, keepdims=True) > 0)
    personal, popular = hits(history @ cosine, history, new), hits(history * 0 + popularity, history, new)
    assert personal > 1.8 * popular > 0


def hits(scores: np.ndarray, history: np.ndarray, new: np.ndarray) -> int:
    """Return how many new items are among the best 20 unseen items of all users."""
    best = np.argpartition(np.where(history > 0, -np.inf, scores), -20, axis=1)[:, -20:]
    return int(np.take_along_axis(new, best, axis=1).sum())


def test_catalogues_are_complete(month: DemoSummary) -> None:
    with month.items.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["item_id"] for row in rows}) == len(rows) <= 600
    assert len({row["title"] for row in rows}) == len(rows)
    for row in rows:
        named = row["category"].split("|")
        assert 1 <= len(named) == len(set(named)) <= 3
        assert set(named) <= set(CATEGORY_NAMES)
        assert float(row["price"]) > 0
    assert {len(nouns.split("|")) for nouns in WORDS.values()} == {8}
