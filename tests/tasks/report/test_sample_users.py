"""The sample users of a report."""

from __future__ import annotations

import re

from worlds.release_world import World
from worlds.report_world import Page, configuration, the_run

from tasks.report.page import report_page


def test_sample_users_have_their_history_and_their_list_with_sources_and_reasons(world: World) -> None:
    html = report_page(world.store, the_run(), configuration(world))
    titles = re.findall(r'id="user-\d"><bdi>(\d+)</bdi> <span>([^<]+)</span>', html)
    assert titles == [
        ("10", "a heavy user · 2 events with 2 items"),
        ("20", "a light user · 1 event with 1 item"),
        ("40", "a user whose list the model did not fill alone · 1 event with 1 item"),
    ]
    page = Page(html)
    assert page.rows.count(["Title 101 101", "1", "2026-01-02"]) == 2  # histories of 10 and 20
    first = page.rows.index(["1", "Title 102 102", "als", "Title 100"])
    assert page.rows[first + 1 : first + 3] == [
        ["2", "Title 105 105", "als", ""],
        ["3", "Title 104 104", "als", ""],
    ]
    assert ["3", "Title 103 103", "popularity", ""] in page.rows


def test_without_samples_no_user_is_named(world: World) -> None:
    with_users = report_page(world.store, the_run(), configuration(world))
    without = report_page(world.store, the_run(), configuration(world, sample_users=0))
    assert "<bdi>10</bdi>" in with_users
    assert "Title 10" in with_users
    assert "<bdi>" not in without
    assert "Title 10" not in without
    assert "Sample users" not in without
