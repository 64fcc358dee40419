"""The dataset by known values: strengths, weights, training, seen items, order and boundaries."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from worlds.dataset_world import Shop

from tasks.dataset.arrays import load_barred, load_dataset, load_histories, load_seen
from tasks.interactions.events import end_of

NOON = "2026-03-10 12:00:00"


@pytest.fixture
def shop(tmp_path, duckdb_engine):
    return Shop(tmp_path, duckdb_engine)


def strengths(built):
    """Return the strength of each pair."""
    rows = built.rows("pairs", "user_id", "item_id", "strength")
    return {(user, item): strength / 1e6 for user, item, strength in rows}


def test_an_event_counts_by_type_and_weight(shop):
    shop.log(
        ("u", "i", NOON, {"type": "view"}),
        ("u", "i", NOON, {"type": "buy", "weight": 2}),
        ("u", "j", NOON, {"type": "look"}),
        ("v", "j", NOON, {"type": "view", "weight": 0.25}),
    )
    built = shop.build(source={"event_weights": {"view": 1, "buy": 5, "look": 0}}, dataset={"alpha": 2})
    assert strengths(built) == {("u", "i"): 11, ("u", "j"): 0, ("v", "j"): 0.25}
    # 1 + 2 ln(1 + 11), seen only, 1 + 2 ln(1 + 0.25)
    expected = [1 + 2 * math.log(12), 0, 1 + 2 * math.log(1.25)]
    assert built.rows("entries", "user_index", "item_index") == [(0, 0), (0, 1), (1, 1)]
    assert built.rows("entries", "weight") == np.float32(np.round(expected, 6)).tolist()
    assert built.rows("entries", "trained") == [True, False, True]
    assert built.rows("sequences", "user_index", "item_index") == [(0, 0), (0, 0), (1, 1)]
    assert (built.summary.pairs, built.summary.trained_pairs, built.summary.events) == (3, 2, 4)
    assert built.summary.products == 2**2 + 1**2


@pytest.mark.parametrize("half_life", [2, 1 / 3])
def test_an_event_counts_half_at_its_half_life(shop, half_life):
    shop.log(("u", "i", "2026-03-09 00:00:00"), ("u", "j", "2026-03-10 23:59:59.999999"), ("v", "i", NOON))
    by_pair = strengths(shop.build(dataset={"half_life_days": half_life}))
    assert by_pair == {
        ("u", "i"): round(0.5 ** (2 / half_life), 6),
        ("u", "j"): 1,
        ("v", "i"): round(0.5 ** (0.5 / half_life), 6),
    }


def test_events_that_fail_the_predicate_only_mark_items_as_seen(shop):
    shop.log(
        ("u", "i", NOON, {"value": 5}),
        ("u", "j", NOON, {"value": 3}),
        ("u", "k", NOON),
        ("v", "j", NOON, {"value": 4}),
    )
    built = shop.build(dataset={"positive": "value >= 4"})
    assert strengths(built) == {("u", "i"): 1, ("u", "j"): 0, ("u", "k"): 0, ("v", "j"): 1}
    assert built.rows("items", "item_id", "trained") == [("i", True), ("j", True), ("k", False)]
    assert built.rows("sequences", "user_index", "item_index") == [(0, 0), (1, 1)]
    assert load_seen(built.folder).toarray().tolist() == [[1, 1, 1], [0, 1, 0]]
    assert built.popular("item_id", "users", segment="all", window_days=0) == [("i", 1), ("j", 1)]


def test_huge_weights_stay_within_64_bits(shop):
    shop.log(("u", "i", NOON, {"weight": 1e300}), ("u", "i", NOON, {"weight": 1e308}), ("v", "i", NOON))
    assert strengths(shop.build())["u", "i"] == 2e9


def test_users_and_items_below_the_minimum_are_known_but_not_trained_on(shop):
    shop.log(
        ("a", "i", NOON), ("a", "j", NOON), ("a", "j", NOON), ("b", "i", NOON), ("b", "i", NOON),
        ("c", "j", NOON), ("c", "k", NOON),
    )  # fmt: skip
    built = shop.build(dataset={"min_user_items": 2, "min_item_users": 2})
    columns = ("user_index", "user_id", "events", "items", "trained")
    assert built.rows("users", *columns) == [
        (0, "a", 3, 2, True),
        (1, "b", 2, 1, False),
        (2, "c", 2, 2, True),
    ]
    # i has two users, but only one of them is trained on
    columns = ("item_index", "item_id", "events", "users", "trained")
    assert built.rows("items", *columns) == [
        (0, "i", 3, 2, False),
        (1, "j", 3, 2, True),
        (2, "k", 1, 1, False),
    ]
    trained = [row[:2] for row in built.rows("entries", "user_index", "item_index", "trained") if row[2]]
    assert trained == [(0, 1), (2, 1)]


def test_a_bot_is_known_but_neither_trained_on_nor_popular(shop):
    shop.log(
        *[("bot", f"i{n % 3}", NOON) for n in range(6)],
        ("u", "i0", NOON),
        ("u", "i1", NOON),
        ("v", "i0", NOON),
    )
    built = shop.build(dataset={"max_user_events": 5})
    assert built.rows("users", "user_id", "bot", "trained") == [
        ("bot", True, False), ("u", False, True), ("v", False, True),
    ]  # fmt: skip
    assert built.rows("items", "item_id", "events", "users", "trained") == [
        ("i0", 4, 3, True), ("i1", 3, 2, True), ("i2", 2, 1, False),
    ]  # fmt: skip
    assert built.popular("item_id", "users", segment="all", window_days=0) == [("i0", 2), ("i1", 1)]
    data, histories = load_dataset(built.folder), load_histories(built.folder)
    assert data.matrix[[0]].nnz == 0
    assert data.sequences.lengths.tolist() == [0, 2, 1]
    assert histories.matrix[[0]].indices.tolist() == [0, 1]  # without i2, which has no trained users
    assert histories.sequences.lengths.tolist() == [4, 2, 1]


def test_a_user_at_the_cap_is_not_a_bot(shop):
    shop.log(*[("u", "i", NOON)] * 3, ("v", "i", NOON))
    assert shop.build(dataset={"max_user_events": 3}).rows("users", "bot") == [False, False]


def test_history_days_limits_the_events_to_the_last_days(shop):
    shop.log(("u", "i", "2026-03-08 23:59:59"), ("u", "j", "2026-03-09 00:00:00"), ("v", "j", NOON))
    learned = {
        days: shop.build(dataset={"history_days": days}, name=str(days)).rows("entries", "trained")
        for days in (2, 3)
    }
    assert learned == {2: [False, True, True], 3: [True, True, True]}


def test_what_is_older_than_history_days_is_not_forgotten(shop):
    old, recent = "2026-02-01 12:00:00", "2026-03-10 12:00:00"
    shop.log(("quiet", "i", old), ("u", "i", old), ("u", "j", recent), ("v", "k", recent), ("v", "k", old))
    built = shop.build(dataset={"history_days": 2, "max_user_events": 1}, items={"title": "colour"})
    assert built.rows("users", "user_id", "events", "bot", "trained") == [
        ("quiet", 1, False, False), ("u", 2, False, True), ("v", 2, False, True),
    ]  # fmt: skip
    assert built.rows("items", "item_id", "events", "trained") == [
        ("i", 2, False), ("j", 1, True), ("k", 2, True),
    ]  # fmt: skip
    assert load_seen(built.folder).toarray().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert load_barred(built.folder).toarray().tolist() == load_seen(built.folder).toarray().tolist()
    assert load_dataset(built.folder).matrix.toarray().astype(bool).tolist() == [
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]
    assert built.popular("item_id", segment="all", window_days=0) == ["j", "k"]


def test_a_repeat_is_welcome_some_days_after_the_last_event(shop):
    shop.log(
        ("u", "i", "2026-03-04 00:00:00"),  # seven days before the end of the date, to the microsecond
        ("u", "j", "2026-03-03 23:59:59.999999"),
        ("u", "k", "2026-03-01 12:00:00"),
        ("u", "k", "2026-03-09 12:00:00"),
    )
    built = shop.build(top_n={"repeat_after_days": 7})
    assert load_seen(built.folder).toarray().tolist() == [[1, 1, 1]]
    assert load_barred(built.folder).toarray().tolist() == [[1, 0, 1]]
    cut = int(datetime(2026, 3, 9, tzinfo=UTC).timestamp()) * 10**6
    past = shop.build(until=cut, name="past", top_n={"repeat_after_days": 7})
    assert load_barred(past.folder).toarray().tolist() == [[1, 1, 0]]


@pytest.mark.parametrize(
    ("zone", "day", "end"),
    [
        ("UTC", date(2026, 3, 10), datetime(2026, 3, 11, tzinfo=UTC)),
        ("Europe/London", date(2026, 3, 28), datetime(2026, 3, 29, tzinfo=UTC)),
        ("Europe/London", date(2026, 3, 29), datetime(2026, 3, 29, 23, tzinfo=UTC)),  # a day of 23 hours
        ("Europe/London", date(2026, 10, 25), datetime(2026, 10, 26, tzinfo=UTC)),  # of 25
        ("America/Sao_Paulo", date(2018, 11, 3), datetime(2018, 11, 4, 3, tzinfo=UTC)),  # midnight is skipped
        ("America/Havana", date(2026, 10, 31), datetime(2026, 11, 1, 4, tzinfo=UTC)),  # midnight occurs twice
        ("Pacific/Apia", date(2011, 12, 29), datetime(2011, 12, 30, 10, tzinfo=UTC)),  # there was no 30th
    ],
)
def test_a_day_ends_at_the_next_local_midnight(zone, day, end):
    assert end_of(day, zone) == end.timestamp() * 1e6


@pytest.mark.parametrize(
    ("day", "last", "next_"),
    [
        (date(2026, 3, 29), "2026-03-29 23:59:59.999999", "2026-03-30 00:00:00"),
        (date(2026, 10, 25), "2026-10-25 23:59:59.999999", "2026-10-26 00:00:00"),
        (date(2026, 6, 1), "2026-06-01 22:59:59.999999+00:00", "2026-06-01 23:00:00+00:00"),
    ],
)
def test_a_date_includes_events_before_its_local_midnight(shop, day, last, next_):
    shop.log(("u", "i", last), ("u", "j", next_), ("new", "i", next_))
    built = shop.build(day, source={"time_zone": "Europe/London"})
    assert built.rows("items", "item_id", "events") == [("i", 1)]
    assert built.rows("users", "user_id") == ["u"]
    assert built.popular("window_days", "item_id", "users", segment="all") == [
        (days, "i", 1) for days in (0, 1, 7, 30)
    ]


def test_a_cut_excludes_events_at_or_after_it(shop):
    shop.log(("u", "i", "2026-03-09 11:59:59.999999"), ("u", "j", "2026-03-09 12:00:00"))
    cut = int(datetime(2026, 3, 9, 12, tzinfo=UTC).timestamp() * 1e6)
    assert shop.build(until=cut).rows("items", "item_id") == ["i"]


def test_a_users_events_are_sorted_by_time_position_file_and_line(shop):
    later, early = "2026-03-10 12:00:01", "2026-03-10 11:00:00"
    shop.log(
        ("u", "i2", NOON, {"position": 7}),
        ("u", "i3", NOON),
        ("u", "i4", later),
        ("v", "i0", NOON),
        name="a.csv",
    )
    shop.log(
        ("u", "i5", NOON, {"position": -1}),
        ("u", "i6", NOON, {"position": 7}),
        ("u", "i1", early),
        name="b.csv",
    )
    built = shop.build()
    items = built.rows("items", "item_id")
    order = [(user, items[item]) for user, item in built.rows("sequences", "user_index", "item_index")]
    assert order == [(0, "i1"), (0, "i5"), (0, "i3"), (0, "i2"), (0, "i6"), (0, "i4"), (1, "i0")]


def test_ids_are_sorted_by_their_type(shop):
    big = 2**53
    shop.log(*[(user, -user, NOON) for user in (big + 1, big, -5, 2, 10)])
    built = shop.build(source={"user_id_type": "int64", "item_id_type": "int64"})
    assert built.rows("users", "user_id") == [-5, 2, 10, big, big + 1]
    assert built.rows("items", "item_id") == [-big - 1, -big, -10, -2, 5]


def test_arrays_equal_those_built_row_by_row(shop):
    rng = np.random.default_rng(0)
    rows = [
        (f"u{rng.integers(30):02}", f"i{rng.zipf(1.4) % 20:02}", f"2026-03-{rng.integers(1, 11):02} 12:00:00")
        for _ in range(400)
    ]
    shop.log(*rows)
    built = shop.build(dataset={"max_user_events": 15, "min_item_users": 3, "min_user_items": 3})
    users, items = built.rows("users", "trained"), built.rows("items", "trained")
    assert 0 < sum(users) < len(users)
    assert 0 < sum(items) < len(items)
    shape = len(users), len(items)
    matrix, history, seen = (np.zeros(shape, np.float32) for _ in range(3))
    for user, item, weight, trained in built.rows("entries", "user_index", "item_index", "weight", "trained"):
        assert trained == (users[user] and items[item])
        seen[user, item] = 1
        history[user, item] = weight if items[item] else 0
        matrix[user, item] = weight if trained else 0
    data, histories = load_dataset(built.folder), load_histories(built.folder)
    assert np.array_equal(data.matrix.toarray(), matrix)
    assert np.array_equal(histories.matrix.toarray(), history)
    assert np.array_equal(load_seen(built.folder).toarray(), seen)
    events = built.rows("sequences", "user_index", "item_index", "timestamp")
    for sequences, counted in ((data.sequences, users), (histories.sequences, [True] * len(users))):
        for user in range(len(users)):
            of_user = slice(sequences.indptr[user], sequences.indptr[user + 1])
            kept = [
                (item, at) for owner, item, at in events if owner == user and counted[user] and items[item]
            ]
            assert sequences.items[of_user].tolist() == [item for item, _ in kept]
            assert sequences.timestamps[of_user].tolist() == [
                at.replace(tzinfo=UTC).timestamp() * 1e6 for _, at in kept
            ]
