"""The report of a run: complete, self-contained, and safe against hostile text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from worlds.release_world import USERS, World
from worlds.report_world import (
    SECOND,
    Page,
    configuration,
    make_world,
    metric,
    publish_second,
    the_run,
    write_dataset,
)

from tasks.quality.checks import table_lines
from tasks.release.writer import TableWriter
from tasks.report.page import report_page, write_report
from tasks.store.run_folder import RunFolder

EVIL = "<script>alert(1)</script><img src=https://evil.example onerror=\"x\"> 'a' & {{ 7 * 7 }} $x_1$"
RTL = "\u202eevil\u202c שלום"
LONG = "x" * 5000


def test_the_report_of_a_published_night_is_complete(world: World) -> None:
    release_id = publish_second(world)
    record = the_run(release_id=release_id, warnings=["look at this"])
    path = write_report(world.store, record, configuration(world))
    page = Page(path.read_text(encoding="utf-8"))
    assert path == world.store.root / "reports" / f"{release_id}.html"
    own = RunFolder(world.store, SECOND, "r2").report.read_text(encoding="utf-8")
    assert own.replace("../../../reports/", "") == path.read_text(encoding="utf-8")  # apart from links
    for text in (release_id, SECOND, "published", "Active: readers get this release.", "look at this"):
        assert text in page.text
    assert page.row("read") == ["read", "1,010", "1,010"]
    assert page.row("item_missing") == ["item_missing", "3", "3"]
    assert page.row("orders") == ["orders", "10", "0", "0", "0", "0"]
    assert page.row("unaccounted for") == ["unaccounted for", "0", "0"]
    assert page.row("not_null", "user_id")[2:] == ["✓ passed", "0", "0", "0"]
    assert page.row("measure als") == ["measure als", "12", "1.5", "", "1.0 MiB", "cpu"]
    assert page.row("all")[2] == "12.0"


def test_metrics_have_intervals_and_changes_and_reference_models_follow(world: World) -> None:
    page = Page(report_page(world.store, the_run(), configuration(world)))
    tables = [index for index, row in enumerate(page.rows) if row[0] == "model"]
    assert [page.rows[index] for index in tables] == [["model", "NDCG", "Coverage"], ["model", "NDCG"]]
    als, popularity = ([" ".join(c.split()) for c in page.rows[tables[0] + n]] for n in (1, 2))
    assert als == ["als", "0.34560.3256 – 0.3656↑ +0.1456", "0.6000"]  # 0.2 the night before
    assert popularity == ["popularity", "0.10100.0810 – 0.1210↑ +0.0010", "0.2000"]
    html = report_page(world.store, the_run(), configuration(world))
    assert re.findall(r'<span class="best">([\d.]+)', html) == ["0.3456", "0.4500"]
    assert re.findall(r'class="change beyond">([^<]+)', html) == ["↑ +0.1456"]


def test_what_the_lists_are_like_stands_beside_their_metrics(world: World) -> None:
    record = the_run()
    station = record.station("measure", "als")
    row = metric("als", "serendipity", 0.0625)
    station.facts["list_metrics"] = [row, row | {"metric": "attribute_diversity", "value": 0.5}]
    page = Page(report_page(world.store, record, configuration(world)))
    (at,) = [number for number, row in enumerate(page.rows) if row[:3] == ["model", "NDCG", "Coverage"]]
    head, als = page.rows[at], [" ".join(cell.split()) for cell in page.rows[at + 1]]
    assert head[3:] == ["Attribute diversity", "Serendipity"]
    assert (als[3][:6], als[4][:6]) == ("0.5000", "0.0625")


def test_every_plot_has_an_alternative_text(world: World) -> None:
    html = report_page(world.store, the_run(), configuration(world))
    names = re.findall(r'<figure id="plot-(\w+)"', html)
    assert names == ["ndcg", "breadth", "nights", "popularity", "churn"]
    texts = re.findall(r'role="img" aria-label="([^"]+)"', html)
    assert texts[0] == "NDCG at the largest k: als 0.450; popularity 0.120."
    assert texts[2] == "NDCG@10: als from 0.200 to 0.346; popularity from 0.100 to 0.101."
    assert "25% of 4 users have another top 3" in html  # user 10
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len({*ids})
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= {*ids}


def hostile_page(world: World, evil: str) -> str:
    """Return the report of a failed night whose users, titles, message and warnings are `evil`."""
    users = [f"{user}{evil}" for user in USERS]
    run = RunFolder(world.store, SECOND, "r3")
    write_dataset(world, run.dataset, evil, users)
    folder = run.staging
    rows = world.tables["recommendations"]
    by_id = dict(zip(USERS, users, strict=True))
    with TableWriter(folder, "recommendations", world.ids) as writer:
        ids = {name: world.named(rows[name]) for name in ("item_id", "reason_item_id")}
        writer.write(rows | ids | {"user_id": [by_id[user] for user in rows["user_id"]]})
    with TableWriter(folder, "validation_results", world.ids) as writer:
        text = {name: [evil] for name in ("check", "column", "observed", "threshold")}
        writer.write(text | {"passed": [False], "rows_failed": [7]})
    record = the_run(run_id="r3", state="failed", message=f"{evil}\nsecond line", warnings=[evil])
    return report_page(world.store, record, configuration(world))


@pytest.mark.parametrize("evil", [EVIL, RTL, LONG, "</style></table>--><!--"])
def test_hostile_titles_ids_and_messages_stay_text(world: World, tmp_path: Path, evil: str) -> None:
    (tmp_path / "other").mkdir()
    harmless = Page(hostile_page(make_world(tmp_path / "other"), "plain"))
    page = Page(hostile_page(world, evil))
    assert page.tags == harmless.tags
    assert {name for name, _ in page.attributes} == {name for name, _ in harmless.attributes}
    assert " ".join(evil.split())[:100].replace("\u202e", " ").replace("\u202c", " ").strip() in page.text
    assert "\u202e" not in page.text
    cells = [cell for row in page.rows for cell in row]
    assert max(map(len, cells)) < 700


def test_the_page_is_self_contained(world: World) -> None:
    html = hostile_page(world, "plain")
    assert not re.search(r"https?:", html)
    assert not re.search(r"<(script|link|iframe|object|embed|img|base)\b|@import|@font-face|\bsrc=", html)
    assert all(target.startswith("#") for target in re.findall(r'\bhref="([^"]*)"', html))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "default-src 'none'" in html


def test_a_refusal_is_shown_with_the_failed_checks(world: World) -> None:
    page = Page(hostile_page(world, "plain"))
    assert "refused" in page.text
    assert "Why nothing was published" in page.text
    assert "second line" in page.text
    failed = [row for row in page.rows if "✗ failed" in row]
    assert (
        failed == [["plain", "plain", "✗ failed", "plain", "plain", "7"]] * 2
    )  # on top, and among all checks


def quality_checks(*passed: bool) -> list[dict[str, Any]]:
    """Return numbered rows of the quality gate."""
    return [
        {
            "check": f"check {n}",
            "observed": f"0.{n}",
            "bound": "at least 0.5",
            "passed": good,
            "value": n / 10,
        }
        for n, good in enumerate(passed)
    ]


def test_failed_quality_checks_are_shown_in_tables_and_not_in_the_message(world: World) -> None:
    rows = quality_checks(True, False, True)
    message = "\n".join(["1 of 3 quality checks failed", *table_lines(rows)])
    record = the_run(state="failed", message=message, release_id=None, quality=rows)
    html = report_page(world.store, record, configuration(world))
    page = Page(html)
    assert "refused" in page.text
    assert "<p>1 of 3 quality checks failed</p>" in html
    failed_row = ["check 1", "0.1", "at least 0.5", "✗ failed"]
    assert page.rows.count(failed_row) == 2  # on top, and among all checks
    assert page.rows.count(["check 0", "0.0", "at least 0.5", "✓ passed"]) == 1
    assert html.count("check 1") == 2
    assert "2 of 3 passed" in page.text


def test_a_forced_publication_shows_who_why_and_the_failed_checks(world: World) -> None:
    by = {"user": "ada", "host": "desk", "at": "2026-01-03T09:00:00+00:00", "reason": f"new shelf {EVIL}"}
    record = the_run(quality=quality_checks(False), override=by | {"checks": ["check 0"]})
    html = report_page(world.store, record, configuration(world))
    page = Page(html)
    assert "Published by force" in page.text
    assert "ada on desk, 2026-01-03 09:00:00: new shelf <script>" in page.text
    assert "<script>" not in html
    assert ["check 0", "0.0", "at least 0.5", "✗ failed"] in page.rows
