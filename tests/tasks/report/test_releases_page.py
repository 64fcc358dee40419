"""The page about all releases: one row for each, with its state, who serves and what it was worth."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from worlds.release_world import FACTS, World
from worlds.report_world import METRICS, SECOND, Page, the_run

from flows.night.pointer import point_readers
from models import registry
from tasks.release.publish import publish, rollback
from tasks.release.releases import Release
from tasks.report.releases_page import FLOORS, entries, releases_html, releases_markdown, write_releases_page
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder

SERVED = {"default": "als", "by": "activity", "models": {"new": "popularity"}}
CHECK = {"check": "coverage", "observed": "0.08", "bound": "at least 0.5", "passed": False, "value": 0.08}


def published(world: World, day: str, **facts: Any) -> Release:
    known = {"model_metrics": METRICS, "served": SERVED} | facts
    staging = world.stage(day, "r1", facts=FACTS | known)
    return publish(world.store, staging, world.audit(staging))


@pytest.fixture
def three(tmp_path: Path) -> World:
    """Return a world whose second release was rolled back from, with a refused night after it."""
    world = World(tmp_path, text=True)
    first = published(world, "2025-12-31")
    published(world, "2026-01-01", release_scores={"judged": first.release_id, "sentence": "s"})
    published(world, "2026-01-02", override={"reason": "a | sale"})
    rollback(world.store)
    message = "1 of 1 checks failed"
    the_run(state="failed", message=message, quality=[CHECK], run_id="r4").save(world.store)
    return world


def test_every_release_and_refused_night_has_a_row_the_newest_first(three: World) -> None:
    rows = entries(three.store)
    assert [(str(entry.as_of), entry.state, entry.why) for entry in rows] == [
        (SECOND, "refused", "coverage 0.08, at least 0.5"),
        ("2026-01-02", "rolled back", "published by force: a | sale"),
        ("2026-01-01", "current", ""),
        ("2025-12-31", "kept", ""),
    ]
    (current,) = (entry for entry in rows if entry.state == "current")
    assert (current.serves, current.score, current.floor) == (
        "als; new: popularity",
        "NDCG@10 0.3456",
        "0.1010 popularity",
    )
    assert [entry.had for entry in rows] == ["", "", "", "NDCG@3 0.3000 [0.1000, 0.5000]"]
    assert all(len(entry.published) == 16 for entry in rows[1:])


def test_the_page_leads_to_the_reports_that_there_are(three: World) -> None:
    RunFolder(three.store, SECOND, "r4").report.write_text("<!DOCTYPE html>", encoding="utf-8")
    write_releases_page(three.store)
    html = three.store.releases_page.read_text(encoding="utf-8")
    (link,) = (value for name, value in Page(html).attributes if name == "href")
    assert link == f"../runs/{SECOND}/r4/report.html"
    assert Page(html).row(SECOND)[1] == "refused: coverage 0.08, at least 0.5"
    text = releases_markdown(three.store)
    assert (
        "\n| 2026-01-02 | rolled back | als; new: popularity | NDCG\\@10 0.3456 | 0.1010 popularity |  |\n"
        in text
    )
    assert "\n- 2026-01-02, rolled back; published by force: a \\| sale; published 20" in text
    refused = f"refused; coverage 0.08, at least 0.5; report `runs/{SECOND}/r4/report.html`"
    assert f"\n- {SECOND}, {refused}\n" in text


def test_the_page_follows_readers_who_are_moved(three: World) -> None:
    three.store.reports.mkdir()
    _, current = point_readers(three.store, None, "rollback")
    page = Page(three.store.releases_page.read_text(encoding="utf-8"))
    assert page.row(str(current.as_of))[1] == "current"
    assert page.row("2026-01-01")[1] == "rolled back"


def test_what_is_damaged_or_older_is_listed_with_what_is_known(three: World) -> None:
    oldest = entries(three.store)[-1].name
    (three.store.release(oldest) / "manifest.json").write_text("{", encoding="utf-8")
    three.publish("2026-01-04", "r1")  # without metrics of models, and without who serves
    newest, *_, damaged = entries(three.store)
    assert (newest.state, newest.serves, newest.score, newest.had) == ("current", "", "", "")
    assert (damaged.state, damaged.why[:14]) == ("damaged", "manifest.json:")
    three.store.pointer.write_text("{", encoding="utf-8")
    assert "current" not in {entry.state for entry in entries(three.store)}


def test_names_in_the_page_stay_text_and_secrets_stay_out(three: World) -> None:
    evil = "<script>alert(1)</script> https://user:hunter2@host/x"
    published(three, "2026-01-05", override={"reason": evil})
    html = releases_html(three.store)
    assert "<script" not in html
    assert "hunter2" not in html + releases_markdown(three.store)
    assert "<script" not in releases_markdown(three.store)


def test_a_store_without_releases_has_a_page(tmp_path: Path) -> None:
    assert "no release yet" in releases_html(Store(tmp_path).create())


def test_a_page_that_cannot_be_written_is_a_warning(three: World, caplog: pytest.LogCaptureFixture) -> None:
    three.store.reports.write_text("in the way", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        write_releases_page(three.store)
    assert "the page about all releases is not written" in caplog.text


def test_the_floors_are_the_models_with_one_ranking_for_everybody() -> None:
    names = registry.built_in()
    assert {name for name in names if not registry.model_class(name).personal} == {*FLOORS}
