"""What a page says about how fast the items change, and when it says nothing."""

from __future__ import annotations

from typing import Any

import pytest
from worlds.release_world import World
from worlds.report_world import Page, configuration, the_run

from tasks.report.item_freshness import freshness_of, sentences, turnover_rows
from tasks.report.page import report_page
from tasks.store.runs import RunRecord, Station

DAY = {"days": 1, "events": 1000, "new_events": 780, "top": 100, "kept": 14}
WEEK = {"days": 7, "events": 9000, "new_events": 8100, "top": 100, "kept": 3}
NEWS = {"events": 2000, "median_minutes": 347, "at_least": False, "turnover": [DAY, WEEK]}
YOUNG = "Half of the last fifth of the events go to items younger than 5.8 hours."


def a_run(freshness: dict[str, Any], *half_lives: float | None) -> RunRecord:
    record = the_run()
    record.station("dataset").facts["freshness"] = freshness
    for life in half_lives:
        facts = {"half_life_days": life}
        record.stations.append(
            Station(kind="train", model="recent_popularity", rows=1, seconds=1, peak_memory=1, facts=facts)
        )
    return record


@pytest.mark.parametrize(
    ("half_lives", "more"),
    [
        ((), []),
        ((None,), []),  # all users count alike
        ((3.0, 1 / 6), ["For recent_popularity, an item's user counts half after 4.0 hours."]),
    ],
)
def test_the_age_of_the_items_is_said_beside_the_half_life(
    half_lives: tuple[float | None, ...], more: list[str]
) -> None:
    assert sentences(a_run(NEWS, *half_lives)) == [YOUNG, *more]


def test_a_run_without_the_figures_says_nothing(world: World) -> None:
    record = the_run()
    assert freshness_of(record) is None
    assert (sentences(record), turnover_rows(record)) == ([], [])
    assert "How fast the items change" not in report_page(world.store, record, configuration(world))
    assert freshness_of(RunRecord(run_id="r", as_of=record.as_of, started_at=record.started_at)) is None


def test_the_page_has_the_sentence_and_a_row_for_each_window(world: World) -> None:
    page = Page(report_page(world.store, a_run(NEWS), configuration(world)))
    assert YOUNG in page.text
    assert page.row("last day") == ["last day", "1,000", "78%", "100", "14%"]
    assert page.row("last 7 days") == ["last 7 days", "9,000", "90%", "100", "3%"]
    assert ("href", "#items") in page.attributes


def test_a_short_log_has_the_sentence_alone(world: World) -> None:
    short = NEWS | {"at_least": True, "median_minutes": 2604, "turnover": []}
    page = Page(report_page(world.store, a_run(short), configuration(world)))
    assert "go to items at least 43.4 hours old; the log tells no more." in page.text
    assert "New items and top items" not in page.text
