"""The metrics of a model, on an example worked by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest
from worlds.dataset_world import Shop, train

from tasks.evaluation.holdout import cut_of, make_holdout
from tasks.evaluation.model_metrics import measure
from tasks.runtime.errors import InputError

PAST, NEXT = "2026-03-09 10:00:00", "2026-03-10 10:00:00"
CUT = int(datetime(2026, 3, 10, 10, tzinfo=UTC).timestamp() * 1e6)
DAY = date(2026, 3, 10)
OLD = [(user, item, PAST) for user, item in ("1a", "2a", "2b", "3a", "3b", "3c")]
NEW = [
    ("1", "c", NEXT),  # second in popularity's [b, c]
    ("2", "c", NEXT),  # first in [c]
    ("2", "a", NEXT),  # a repeat, which does not count
    ("1", "d", NEXT),  # an item without a past
    ("4", "a", NEXT),  # a user without a past
]


def measured(folder, engine, rows, **sections):
    """Return the holdout of the second day and the metrics of popularity by name and k."""
    sections = {"evaluation": {"ks": [1, 2, 50]}, "engine": {"threads": 1}} | sections
    shop = Shop(folder, engine, **sections)
    shop.log(*rows)
    full, past = shop.build(DAY), shop.build(DAY, until=CUT, name="past")
    holdout = make_holdout(full.configuration, full.folder, past.folder, CUT)
    model = train(full.configuration, "popularity", past.folder, folder / "model").folder
    metrics = measure(full.configuration, model, holdout)
    return holdout, {(row["metric"], row["k"]): row for row in metrics}


def test_metrics_match_values_by_hand(tmp_path, duckdb_engine):
    holdout, metrics = measured(tmp_path, duckdb_engine, OLD + NEW)
    assert holdout.users.tolist() == [0, 1]
    assert holdout.relevant.toarray().tolist() == [[0, 0, 1], [0, 0, 1]]
    assert (holdout.cold_users, holdout.cold_items, holdout.repeats) == (1, 1, 1)
    second = 1 / math.log2(3)  # the gain of the second rank
    expected = {
        ("ndcg", 1): (0, 1),
        ("ndcg", 2): (second, 1),
        ("recall", 1): (0, 1),
        ("recall_min", 2): (1, 1),
        ("precision", 2): (0.5, 0.5),
        ("hit_rate", 1): (0, 1),
        ("mrr", 2): (0.5, 1),
        ("map", 2): (0.5, 1),
        ("ndcg", 3): (second, 1),  # 50 is cut to the three items
    }
    for key, values in expected.items():
        row = metrics[key]
        assert row["value"] == pytest.approx(sum(values) / 2), key
        # a resample of two users is one, the other or both: the interval ends at their values
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((min(values), max(values))), key
        assert (row["model"], row["split"], row["users"]) == ("popularity", "temporal", 2)
    assert metrics["coverage", 1]["value"] == pytest.approx(2 / 3)
    assert metrics["coverage", 1]["ci_low"] is None
    assert {k for _, k in metrics} == {1, 2, 3}


def test_repeats_count_if_they_may_be_recommended(tmp_path, duckdb_engine):
    holdout, metrics = measured(tmp_path, duckdb_engine, OLD + NEW, top_n={"repeats": True})
    assert holdout.relevant.toarray().tolist() == [[0, 0, 1], [1, 0, 1]]
    assert holdout.repeats == 1
    # both get [a, b, c]: one finds c at the third rank, the other a at the first and c at the third
    third = 1 / 2
    repeat_user = (1 + third) / (1 + 1 / math.log2(3))
    assert metrics["ndcg", 3]["value"] == pytest.approx((third + repeat_user) / 2)


def test_items_and_users_of_the_future_change_no_metric(tmp_path, duckdb_engine):
    with_, without = (
        measured(tmp_path / name, duckdb_engine, rows)[1]
        for name, rows in (
            ("a", OLD + NEW),
            ("b", OLD + [row for row in NEW if row[1] != "d" and row[0] != "4"]),
        )
    )
    assert with_ == without


def test_blocked_items_are_not_recommended(tmp_path, duckdb_engine):
    _, metrics = measured(tmp_path, duckdb_engine, OLD + NEW, top_n={"blocked_items": ["b"]})
    assert metrics["ndcg", 1]["value"] == 1  # c comes first for both, once b is blocked
    assert metrics["coverage", 3]["value"] == 0.5


def test_users_without_a_counting_past_are_not_measured(tmp_path, duckdb_engine):
    rows = [*OLD, ("5", "a", PAST, {"value": 0}), ("5", "b", NEXT), *NEW]
    holdout, _ = measured(tmp_path, duckdb_engine, rows, dataset={"positive": "value is null"})
    assert holdout.users.tolist() == [0, 1]


def test_a_sample_of_users_is_the_same_every_time(tmp_path, duckdb_engine):
    metrics = [
        measured(tmp_path / name, duckdb_engine, OLD + NEW, evaluation={"max_users": 1})[0].users.tolist()
        for name in "ab"
    ]
    assert metrics[0] == metrics[1]
    assert len(metrics[0]) == 1


def test_one_measured_user_has_no_interval_and_none_no_rows(tmp_path, duckdb_engine):
    _, single = measured(tmp_path / "one", duckdb_engine, [*OLD, ("1", "c", NEXT)])
    assert single["ndcg", 2]["value"] == pytest.approx(1 / math.log2(3))
    assert single["ndcg", 2]["ci_low"] is None
    holdout, none = measured(tmp_path / "none", duckdb_engine, [*OLD, ("4", "a", NEXT)])
    assert len(holdout.users) == 0
    assert none == {}


def test_the_cut_holds_out_the_last_share(tmp_path, duckdb_engine):
    shop = Shop(tmp_path, duckdb_engine)
    shop.log(*[(f"u{n % 3}", f"i{n}", f"2026-03-{n + 1:02} 10:00:00") for n in range(10)])
    folder = shop.build(DAY).folder
    for share, day in ((0.2, 9), (0.5, 6), (0.01, 10), (0.94, 2)):
        assert cut_of(folder, share) == datetime(2026, 3, day, 10, tzinfo=UTC).timestamp() * 1e6
    with pytest.raises(InputError, match="expected events at different times"):
        cut_of(folder, 0.99)
