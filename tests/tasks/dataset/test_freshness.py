"""How fast items change: worked by hand, by Python on both engines, on logs whose speed is known."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from worlds.dataset_world import AS_OF, Shop
from worlds.engines import SPARK_IN_TORTURE

from tasks.configuration.configuration import load
from tasks.dataset.build import build_dataset
from tasks.dataset.freshness import Freshness, Turnover, duration, measure_freshness
from tasks.demo.shapes import write_shape
from tasks.interactions.events import make_events
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.store.layout import Store

EARLY = (("a", "old", "2026-03-01 08:00:00"), ("b", "old2", "2026-03-01 09:00:59"))  # the first fifth
BETWEEN = (
    *((user, "mid", "2026-03-05 12:00:00") for user in "abcd"),
    ("a", "new", "2026-03-10 08:00:59"),
    ("b", "mid", "2026-03-10 08:00:30"),
)
TOO_SHORT = "The log is too short to tell how old its items are when they get their events."


def measured(engine, folder: Path, *rows, **sections) -> Freshness:
    shop = Shop(folder, engine)
    shop.log(*rows)
    built = shop.build(**sections)
    freshness = measure_freshness(built.configuration, engine, AS_OF, built.folder)
    assert freshness is not None
    return freshness


@pytest.mark.parametrize(
    ("last", "minutes", "at_least", "sentence"),
    [
        (
            (("a", "new", "2026-03-10 11:00:00"), ("c", "old", "2026-03-10 13:30:00")),
            180,
            False,
            "Half of the last fifth of the events go to items younger than 3.0 hours.",
        ),
        (  # both were there in the first fifth: they are as old as the log shows, or older
            (("a", "old2", "2026-03-10 11:00:00"), ("c", "old", "2026-03-10 13:30:00")),
            9 * 1440 + 120,
            True,
            "Half of the last fifth of the events go to items at least 9.1 days old; the log tells no more.",
        ),
    ],
)
def test_the_age_of_items_that_may_be_older_than_the_log_is_a_bound(  # noqa: PLR0917
    duckdb_engine, tmp_path, last, minutes, at_least, sentence
):
    freshness = measured(duckdb_engine, tmp_path, *EARLY, *BETWEEN, *last)
    assert (freshness.events, freshness.median_minutes, freshness.at_least) == (2, minutes, at_least)
    assert str(freshness) == sentence


def test_bots_and_events_that_do_not_count_are_left_out(duckdb_engine, tmp_path):
    last = (("a", "new", "2026-03-10 11:00:00"), ("c", "old", "2026-03-10 13:30:00"))
    bot = [("bot", item, f"2026-03-0{day} 10:00:00") for item in ("new", "old") for day in (2, 3, 4, 5, 6)]
    ignored = [("d", "old", "2026-03-10 23:00:00", {"value": 0})] * 5
    freshness = measured(
        duckdb_engine, tmp_path, *EARLY, *BETWEEN, *last, *bot, *ignored,
        dataset={"max_user_events": 9, "positive": "value is null"},
    )  # fmt: skip
    assert freshness == measured(duckdb_engine, tmp_path / "people", *EARLY, *BETWEEN, *last)


def test_the_only_item_is_at_least_as_old_as_the_log(duckdb_engine, tmp_path):
    freshness = measured(
        duckdb_engine, tmp_path, *(("a", "i", f"2026-03-{day:02} 12:00:00") for day in range(1, 11))
    )
    assert (freshness.events, freshness.median_minutes, freshness.at_least) == (2, 8 * 1440, True)
    assert [(row.days, row.new_events, row.top, row.kept) for row in freshness.turnover] == [(1, 0, 1, 1)]


def test_a_log_of_one_moment_tells_no_age(duckdb_engine, tmp_path):
    moment = "2026-03-10 12:00:00"
    freshness = measured(duckdb_engine, tmp_path, ("a", "i", moment), ("b", "j", moment), ("c", "k", moment))
    assert freshness == Freshness(events=3, median_minutes=0, at_least=True)
    assert str(freshness) == TOO_SHORT


def test_without_an_event_that_counts_there_is_nothing_to_say(duckdb_engine, tmp_path):
    shop = Shop(tmp_path, duckdb_engine)
    shop.log(("a", "i", "2026-03-10 12:00:00", {"value": 0}))
    built = shop.build(dataset={"positive": "value > 0"})
    assert measure_freshness(built.configuration, duckdb_engine, AS_OF, built.folder) is None


def day_of(day: str, counts: dict[str, int]) -> list[tuple[str, str, str]]:
    """Return events of different users, so many per item."""
    return [(f"u{n}", item, f"{day} {n:02}:00:00") for item, count in counts.items() for n in range(count)]


@pytest.mark.parametrize(("first", "weeks"), [("2026-02-25 23:59:00", True), ("2026-02-26 00:00:00", False)])
def test_turnover_compares_windows_that_are_whole_in_the_log(duckdb_engine, tmp_path, first, weeks):
    rest = {f"i{n}": 1 for n in range(2, 10)}
    freshness = measured(
        duckdb_engine,
        tmp_path,
        ("u0", "i9", first),
        *day_of("2026-03-09", {"i0": 3, "i1": 2, **rest}),
        *day_of("2026-03-10", {"i0": 3, "n": 2, "i1": 1, **rest}),  # 11 items: 2 of them are top
    )
    day = Turnover(days=1, events=14, new_events=2, top=2, kept=1)
    # of the week, i0 with 6 events and i1 with 3; before it, only i9; i9 was there before
    week = Turnover(days=7, events=27, new_events=27 - 2, top=2, kept=0)
    assert freshness.turnover == ([day, week] if weeks else [day])


def test_the_days_of_turnover_are_those_of_the_time_zone(duckdb_engine, tmp_path):
    rows = [("u", "i", "2026-03-08 12:00:00"), ("u", "j", "2026-03-10 00:00:00")]  # local, as_of begins
    rows += [("u", "j", "2026-03-09 23:59:59"), ("u", "k", "2026-03-10 23:59:59")]
    freshness = measured(duckdb_engine, tmp_path, *rows, source={"time_zone": "America/New_York"})
    (day,) = freshness.turnover
    assert (day.events, day.new_events) == (2, 1)


@SPARK_IN_TORTURE
def test_the_figures_of_a_random_log_are_those_of_python(engine, tmp_path):
    random = np.random.default_rng(4)
    times = np.sort(random.integers(0, 20 * 86_400, 600))
    start = datetime(2026, 2, 19, tzinfo=UTC)
    born = times // 40_000  # a few items at a time, with some that return
    items = [f"i{b - random.integers(0, 4) ** 2}" for b in born]
    moments = [start + timedelta(seconds=int(time)) for time in times]
    rows = [
        (f"u{n % 40}", item, f"{at:%Y-%m-%d %H:%M:%S}")
        for n, (item, at) in enumerate(zip(items, moments, strict=True))
    ]
    freshness = measured(engine, tmp_path, *rows)
    minutes = [int(time) // 60 for time in times]
    early, late = minutes[math.ceil(600 / 5) - 1], minutes[600 - math.ceil(600 / 5)]
    first: dict[str, int] = {}
    for item, minute in zip(items, minutes, strict=True):
        first.setdefault(item, minute)
    last = [(item, minute) for item, minute in zip(items, minutes, strict=True) if minute >= late]
    ages = sorted(minute - first[item] for item, minute in last)
    known = sorted(minute - first[item] if first[item] > early else 10**9 for item, minute in last)
    middle = math.ceil(len(last) / 2) - 1
    assert (freshness.events, freshness.median_minutes) == (len(last), ages[middle])
    assert freshness.at_least == (ages[middle] != known[middle])
    for row in freshness.turnover:
        since, before = ((20 - row.days * back) * 1440 for back in (1, 2))
        now = Counter(item for item, minute in zip(items, minutes, strict=True) if minute >= since)
        earlier = Counter(i for i, minute in zip(items, minutes, strict=True) if before <= minute < since)
        top = math.ceil(len(now) / 10)
        ranked = [sorted(counts, key=lambda item: (-counts[item], item))[:top] for counts in (now, earlier)]
        new = sum(count for item, count in now.items() if first[item] >= since)
        assert (row.events, row.new_events, row.top) == (now.total(), new, top)
        assert row.kept == len({*ranked[0]} & {*ranked[1]})
    assert [row.days for row in freshness.turnover] == [1, 7]


def of_shape(engine, folder: Path, name: str, scale: float) -> Freshness:
    as_of = write_shape(folder, name, start=date(2026, 3, 2), scale=scale)
    configuration = load(folder / "nightshelf.toml")
    store = Store(folder / "store").create()
    ingest(configuration, store, engine, as_of)
    make_events(configuration, Ledger.read(store), engine, as_of)
    build_dataset(configuration, engine, folder / "dataset", folder / "scratch")
    freshness = measure_freshness(configuration, engine, as_of, folder / "dataset")
    assert freshness is not None
    return freshness


def test_news_are_hours_old_and_groceries_as_old_as_the_log(duckdb_engine, tmp_path):
    news = of_shape(duckdb_engine, tmp_path / "news", "news", 0.05)
    assert not news.at_least
    assert 120 < news.median_minutes < 24 * 60
    assert "hours." in str(news)
    groceries = of_shape(duckdb_engine, tmp_path / "groceries", "groceries", 0.05)
    assert groceries.at_least
    assert "at least 1" in str(groceries)
    assert "weeks old" in str(groceries)
    shares = [
        (row.new_events / row.events, row.kept / row.top) for row in (*news.turnover, *groceries.turnover)
    ]
    assert [news.turnover[0].days, groceries.turnover[0].days] == [1, 1]
    (new_day, kept_day), (new_week, kept_week), (old_day, _), (old_week, kept_old) = shares
    assert new_day > 0.5
    assert new_week > 0.5
    assert max(kept_day, kept_week) < 0.5 < kept_old
    assert max(old_day, old_week) < 0.01


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (1, "a minute"), (2, "2 minutes"), (119, "119 minutes"), (120, "2.0 hours"), (306, "5.1 hours"),
        (2880, "2.0 days"), (4 * 10080, "4.0 weeks"), (2 * 525_960, "2.0 years"),
    ],
)  # fmt: skip
def test_a_duration_has_its_largest_unit(minutes, text):
    assert duration(minutes) == text
