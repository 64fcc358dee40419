"""The part of a report about what readers had: tonight by segment, the trend, and the ranks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from worlds.release_world import SCORES, World
from worlds.report_world import SECOND, Page, configuration, the_run

from tasks.release.writer import TableWriter
from tasks.report.markdown import markdown, night_page
from tasks.report.page import report_page
from tasks.report.release_scores import what_readers_had
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord, Station

TONIGHT = date.fromisoformat(SECOND)
SENTENCE = "the lists of 2026-01-02: 50% of 2 users found something they met since"


def judging(**facts: Any) -> RunRecord:
    """Return the record of a night that judged what readers had."""
    record = the_run()
    facts = {"judged": "2026-01-02-r1", "sentence": SENTENCE} | facts
    record.stations.append(
        Station(kind="release_scores", rows=1, seconds=0.1, peak_memory=2**20, facts=facts)
    )
    return record


def score(world: World, *rows: dict[str, Any]) -> None:
    """Write the staged table: each row is the first of the world's, with changes."""
    first = {name: values[0] for name, values in SCORES.items()}
    with TableWriter(RunFolder(world.store, SECOND, "r2").staging, "release_scores", world.ids) as writer:
        writer.write({name: [(first | row)[name] for row in rows] for name in first})


def test_the_page_shows_tonight_by_segment_and_the_trend(world: World) -> None:
    score(
        world,
        {"as_of": TONIGHT - timedelta(days=1), "ndcg": 0.15},
        {"as_of": TONIGHT - timedelta(days=1), "k": 9, "ndcg": 0.2},  # longer lists, not compared
        {"as_of": TONIGHT, "segment": "activity", "segment_value": "new", "users_hit": 0},
        {"as_of": TONIGHT, "k": 2, "ndcg": 0.2},
        {"as_of": TONIGHT},
        {"as_of": TONIGHT, "segment": "country", "segment_value": "<b>", "ndcg": None},
        {"as_of": TONIGHT, "segment": "rank", "segment_value": "1", "k": 1, "listed_rows": 4},
        {"as_of": TONIGHT, "segment": "rank", "segment_value": "2", "k": 2, "listed_rows": 4, "hits": 3},
        {"as_of": TONIGHT, "segment": "rank", "segment_value": "3", "k": 3, "listed_rows": 4, "hits": 0},
    )
    page = Page(report_page(world.store, judging(), configuration(world)))
    assert page.row("all users") == [
        "all users", "2", "50.0%", "0.2500", "0.3000", "0.1000 – 0.5000", "9", "77.8%", "22.2%",
    ]  # fmt: skip
    assert page.row("activity new")[:3] == ["activity new", "2", "0.0%"]
    assert page.row("country <b>")[4] == ""
    assert "The lists of 2026-01-02: 50% of 2 users found something they met since." in page.text
    assert "NDCG@3 of what readers had, over 2 nights" in page.text
    assert "2026-01-02 to 2026-01-03. Each night judges the lists of the release before." in page.text
    assert (
        "Of 4 lists of users who came back, 25.0% have a hit at the first rank and 0.0% at rank 3"
        in page.text
    )
    assert ("href", "#had") in page.attributes


def test_a_night_that_judged_nothing_says_why(world: World) -> None:
    nothing = "readers had no release before 2026-01-03: there are no lists to judge"
    score(world)
    record = judging(judged=None, sentence=nothing)
    page = Page(report_page(world.store, record, configuration(world)))
    assert f"R{nothing[1:]}." in page.text
    assert "all users" not in page.text
    assert f"| what readers had | {markdown(nothing)} |" in night_page(world.store, record)


@pytest.mark.parametrize("staged", [False, True])
def test_a_run_that_did_not_get_there_has_no_such_part(world: World, staged: bool) -> None:
    record = the_run() if staged else judging()
    if not staged:
        (RunFolder(world.store, SECOND, "r2").staging / "release_scores.parquet").unlink()
    assert what_readers_had(world.store, record) is None
    assert "What readers had" not in report_page(world.store, record, configuration(world))
