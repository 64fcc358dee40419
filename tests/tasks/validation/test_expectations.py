"""Each expectation of the gate fails by itself, is named, and reveals no value of events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from worlds.gate_world import AS_OF, COUNTS, SECRET, configuration, event, history, refused

from tasks.configuration.configuration import Configuration
from tasks.interactions.account import Counts
from tasks.runtime.errors import ConfigurationError
from tasks.validation.checks import Check

LATER = datetime.fromisoformat("2026-03-10")
EARLIER_DAYS = (
    "times the median of the last 3 earlier days with events (10), got 1 times (10 events on 2026-03-09)"
)
TYPES = "only the types of source.event_weights (purchase, view), got 1 others, in 1 events"
ALONE: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"min_events": 1000}, {}, "min_events", "at least 1,000 events up to 2026-03-09, got 40"),
    ({"min_users": 5}, {}, "min_users", "at least 5 users up to 2026-03-09, got 4"),
    ({"min_items": 6}, {}, "min_items", "at least 6 items up to 2026-03-09, got 5"),
    ({"max_null_share": {"country": 0.49}}, {},
     "max_null_share of country", "at most 49% nulls, got 50% (20 of 40 events)"),
    ({}, {"user_id": None}, "max_null_share of user_id", "at most 0% nulls, got 2.5% (1 of 40 events)"),
    ({"min_value": 1}, {"value": 0.99}, "min_value of value", "no value below 1.0, got 1 of 40 events"),
    ({"max_value": 5}, {"value": 77123904.5}, "max_value of value", "no value above 5.0, got 1 of 40 events"),
    ({}, {"weight": -1.0}, "min_weight of weight", "no weight below 0, got 1 of 40 events"),
    ({}, {"event_type": SECRET}, "event_types of event_type", TYPES),
    ({}, {"event_type": None}, "event_types of event_type", TYPES),
    ({}, {"timestamp": LATER},
     "not_after_as_of of timestamp", "no event after the end of 2026-03-09, got 1 of 40 events"),
    ({}, {"event_date": LATER.date()},
     "not_after_as_of of event_date", "no day after 2026-03-09, got 2026-03-10 as the last day"),
    ({"min_volume_ratio": 1.01}, {}, "volume of event_date", f"1.01 to 20 {EARLIER_DAYS}"),
    ({"max_volume_ratio": 0.5}, {}, "volume of event_date", f"0.05 to 0.5 {EARLIER_DAYS}"),
    ({"max_duplicate_share": 0.03}, {},
     "max_duplicate_share", "at most 3% of the rows read exact duplicates, got 4% (2 of 50)"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "change", "which", "expected"), ALONE)
def test_each_expectation_fails_by_itself_and_is_named(gate, settings, change, which, expected):
    rows = history()
    rows[0] |= change  # one event of an earlier day
    error, lines = refused(gate, rows, settings=configuration(**settings))
    assert lines == [f"{which}: expected {expected}"]
    failed = [check for check in error.checks if not check.passed]
    assert [check.check for check in failed] == [which.split(" of ")[0]]
    assert not change or failed[0].rows_failed == 1
    pages = "".join(page.read_text() for page in error.index.parent.rglob("*.html"))
    assert SECRET not in pages
    assert "77123904" not in pages


def test_a_date_without_events_is_rejected_unless_allowed(gate):
    error, lines = refused(gate, history(today=0))
    assert lines == [
        "events_on_as_of of event_date: expected events on 2026-03-09 itself "
        "(gate.require_events_on_as_of), got none"
    ]
    volume = next(check for check in error.checks if check.check == "volume")
    assert (volume.passed, volume.observed) == (True, "not compared: no events on 2026-03-09")
    checks = gate(history(today=0), settings=configuration(require_events_on_as_of=False))
    assert "events_on_as_of" not in {check.check for check in checks}


def test_the_first_day_has_no_history_to_compare_with(gate):
    checks = gate([event(number, AS_OF) for number in range(10)])
    assert (
        Check(
            "volume",
            "event_date",
            "not compared: not enough history, no day with events before 2026-03-09",
            "0.05 to 20 times the median of earlier days",
            True,
            0,
        )
        in checks
    )


def test_volume_is_compared_with_the_last_days_that_have_events(gate):
    sizes = {date(2025, 6, 2): 90, date(2026, 3, 4): 4, date(2026, 3, 5): 2, date(2026, 3, 6): 8}
    rows = [event(number, day) for day, size in sizes.items() for number in range(size)]
    rows += [event(number, AS_OF) for number in range(6)]
    for days, ratio in ((1, "0.75"), (2, "1.2"), (3, "1.5"), (4, "1"), (7, "1")):
        checks = gate(rows, settings=configuration(volume_days=days))
        assert next(check.observed for check in checks if check.check == "volume") == ratio


def test_a_full_quarantine_names_each_rule_with_an_example(gate):
    counts = Counts(
        read=100,
        accepted=55,
        excluded=30,
        quarantined=15,
        rules={"bots": 30, "user_missing": 2, "item_missing": 9, "too_few_fields": 3, "odd": 1},
    )
    error, lines = refused(
        gate,
        counts=counts,
        settings=configuration(max_quarantined_share=0.08),
        examples=lambda: {"item_missing": "logs/a.csv:17", "user_missing": "logs/b.csv:2", "odd": "c.csv:3"},
    )
    assert lines == [
        "max_quarantined_share: expected at most 8% of the rows read in quarantine, got 15% (15 of 100); "
        "most frequent: item_missing 9 (such as logs/a.csv:17), too_few_fields 3, "
        "user_missing 2 (such as logs/b.csv:2)"
    ]
    rules = {check.check: check.passed for check in error.checks if check.column == "quarantine"}
    assert rules == {"item_missing": False, "odd": True, "too_few_fields": True, "user_missing": True}


def test_timestamps_of_another_unit_get_a_hint(gate):
    counts = Counts(read=100, accepted=2, quarantined=98, rules={"timestamp_out_of_range": 98})
    _, lines = refused(gate, [], counts=counts)
    assert [line.split(":")[0] for line in lines] == [
        "events_on_as_of of event_date", "max_quarantined_share", "min_events", "min_items", "min_users",
    ]  # fmt: skip
    assert "is source.timestamp_format = 'epoch_s' right? Known: iso, epoch_s, epoch_ms" in lines[1]


def test_a_bad_night_is_noticed_despite_a_long_history(gate):
    arrived = Counts(read=10, accepted=4, quarantined=6, rules={"user_missing": 6})
    total = Counts(read=10_000, accepted=9_990, quarantined=10, rules={"user_missing": 10})
    _, lines = refused(gate, counts=total, arrived=arrived)
    assert lines == [
        "max_quarantined_share of arrived: expected at most 20% of the rows that arrived for the date "
        "in quarantine, got 60% (6 of 10); most frequent: user_missing 6"
    ]
    assert len(gate(arrived=COUNTS)) == len(gate())  # an equal account is checked only once


def test_a_small_source_that_cannot_be_read_is_noticed_beside_a_large_one(gate):
    clicks = configuration().sources[0].model_copy(update={"name": "clicks"})
    orders = clicks.model_copy(update={"name": "orders", "timestamp_format": "%d/%m/%Y"})
    settings = configuration().model_copy(update={"sources": (clicks, orders)})
    total = Counts(read=1000, accepted=990, quarantined=10, rules={"timestamp_unreadable": 10, "gone": 0})
    broken = Counts(read=10, quarantined=10, rules={"timestamp_unreadable": 10})
    accounts = {"clicks": Counts(read=990, accepted=990), "orders": broken, "ratings": Counts()}
    _, lines = refused(gate, settings=settings, counts=total, by_source=accounts)
    assert lines == [
        "max_quarantined_share of arrived_orders: expected at most 20% of the rows that arrived for the date "
        "in quarantine, got 100% (10 of 10); most frequent: timestamp_unreadable 10; nearly all rows fail by "
        "their timestamp: is source.orders.timestamp_format = '%d/%m/%Y' right? Known: iso, epoch_s, "
        "epoch_ms, epoch_us or a strptime pattern such as %d/%m/%Y %H:%M"
    ]


def test_rules_of_sources_that_are_gone_do_not_quarantine(gate):
    counts = Counts(read=50, accepted=40, excluded=5, quarantined=5, rules={"returns": 5, "ragged_line": 5})
    rules = [
        check.check for check in gate(counts=counts, excluding=["returns"]) if check.column == "quarantine"
    ]
    assert rules == ["ragged_line"]


def test_the_end_of_the_date_is_midnight_in_the_time_zone_of_the_source(gate):
    source = configuration().sources[0].model_copy(update={"time_zone": "Asia/Tokyo"})
    tokyo = configuration().model_copy(update={"sources": (source,)})
    rows = history()
    rows[-1] |= {"timestamp": datetime.fromisoformat("2026-03-09T14:59:59")}  # Tokyo's day ends at 15:00 UTC
    gate(rows, settings=tokyo)
    rows[-1] |= {"timestamp": datetime.fromisoformat("2026-03-09T15:00")}
    assert len(refused(gate, rows, settings=tokyo)[1]) == 1


def test_a_gate_that_does_not_fit_the_interactions_is_a_configuration_error(gate):
    with pytest.raises(ConfigurationError, match=r"unknown column 'contry'; known: country, event_date"):
        gate(settings=configuration(max_null_share={"contry": 0.1}))
    bare = {"source": {"path": "logs", "columns": {"user": "u", "item": "i", "timestamp": "t"}}}
    settings = Configuration.model_validate(bare | {"gate": {"min_value": 1}})
    with pytest.raises(ConfigurationError, match=r"gate.min_value and gate.max_value need"):
        gate(settings=settings)
    checks = gate(settings=Configuration.model_validate(bare))
    assert not {"event_types", "min_weight", "min_value"} & {check.check for check in checks}
