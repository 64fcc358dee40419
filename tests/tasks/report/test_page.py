"""The report of a run: it tells all, needs nothing else, and no text in it is anything but text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.release_world import ITEMS, SEEN, USERS, World

from tasks.configuration.configuration import Configuration
from tasks.quality.checks import table_lines
from tasks.release.retention import retain
from tasks.release.writer import TableWriter
from tasks.report.list_churn import Churn, list_churn
from tasks.report.page import report_page, write_report
from tasks.report.paths import find_report
from tasks.report.plots import Line, lines, plot
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord, Station

FIRST, SECOND = "2026-01-02", "2026-01-03"
EVIL = "<script>alert(1)</script><img src=https://evil.example onerror=\"x\"> 'a' & {{ 7 * 7 }} $x_1$"
RTL = "\u202eevil\u202c שלום"
LONG = "x" * 5000
COUNTS = {"read": 1010, "accepted": 1006, "excluded": 0, "quarantined": 3, "duplicates": 1}
Write = Callable[..., str]


class Page(HTMLParser):
    """The elements of a page with their attributes, the cells of its rows, and its text without styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.text, self.inside = "", [""]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while tag in self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.inside:
            self.text += data
            if {"td", "th"} & {*self.inside}:
                self.rows[-1][-1] += data

    def row(self, *start: str) -> list[str]:
        """Return the one row whose cells begin like this."""
        (found,) = [row for row in self.rows if [cell.strip() for cell in row[: len(start)]] == [*start]]
        return [" ".join(cell.split()) for cell in found]


def metric(model: str, name: str, value: float, k: int = 10, **more: Any) -> dict[str, Any]:
    row = {"model": model, "split": "test", "metric": name, "k": k, "value": value, "users": 4}
    return row | {"ci_low": value - 0.02, "ci_high": value + 0.02} | more


METRICS = [
    metric("als", "ndcg", 0.3456),
    metric("als", "ndcg", 0.45, k=20),
    metric("als", "coverage", 0.6, ci_low=None, ci_high=None),
    metric("popularity", "ndcg", 0.101),
    metric("popularity", "ndcg", 0.12, k=20),
    metric("popularity", "coverage", 0.2, ci_low=None, ci_high=None),
]
MEASURED = {name: [row for row in METRICS if row["model"] == name] for name in ("als", "popularity")}


def the_run(**fields: Any) -> RunRecord:
    """Return the record of a night that came to its end."""
    counts = COUNTS | {"rules": {"item_missing": 3}}
    stations = {
        "interactions": {"arrived": counts, "total": counts, "exclude_rules": []},
        "dataset": {"users": 4, "items": 8, "events": 6},
        "measure als": {"metrics": MEASURED["als"], "device": "cpu"},
        "measure popularity": {"metrics": MEASURED["popularity"]},
        "recommendations": {"by_source": {"als": 11, "popularity": 1}},
        "release": {"active": True},
    }
    done = [
        Station(name=name, rows=12, seconds=1.5, peak_memory=2**20, facts=facts)
        for name, facts in stations.items()
    ]
    facts = {"run_id": "r2", "as_of": date.fromisoformat(SECOND), "started_at": "2026-01-04T02:30:00+00:00"}
    return RunRecord(**(facts | {"stations": done, "state": "published"} | fields))


def write_dataset(world: World, folder: Path, title: str, users: list[str]) -> None:
    """Write what a report reads of a run's dataset: the world's four users and eight items."""
    events = [2, 1, 2, 1]
    seen = [(USERS.index(u), ITEMS.index(item)) for u in USERS for item in SEEN[u]]
    moments = [datetime(2026, 1, 2, 3, n) for n in range(len(seen))]  # noqa: DTZ001 - UTC, as in the dataset
    tables = {
        "users": {
            "user_index": pa.array(range(4), pa.int32()),
            "user_id": users,
            "events": events,
            "items": events,
            "bot": [False, False, False, True],
        },
        "items": {
            "item_index": pa.array(range(8), pa.int32()),
            "item_id": world.named(ITEMS),
            "title": [f"{title} {item}" for item in ITEMS],
            "events": [3, 2, 1, 0, 0, 0, 0, 0],
        },
        "sequences": {
            "user_index": pa.array([user for user, _ in seen], pa.int32()),
            "item_index": pa.array([item for _, item in seen], pa.int32()),
            "timestamp": pa.array(moments, pa.timestamp("us")),
        },
    }
    for name, columns in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / name / "part.parquet")


def configuration(world: World, **report: Any) -> Configuration:
    source = {"path": "*.csv", "columns": {"user": "u", "item": "i", "timestamp": "t"}}
    content = {"store": {"path": world.store.root}, "source": source, "report": report}
    return Configuration.model_validate(content | {"train": {"models": ("als", "popularity")}})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def make_world(tmp_path: Path) -> World:
    """Return a world with a release of the first date, staged tables and a dataset of the second."""
    world = World(tmp_path, text=True)
    world.publish(FIRST, "r1")
    rows = world.tables["recommendations"]
    rows["item_id"][1] = 105  # user 10 gets one other item
    rows["source"][11] = "popularity"  # the end of the list of user 40
    world.tables["model_metrics"]["value"][0] = 0.3
    world.stage(SECOND, "r2")
    users = [str(user) for user in USERS]
    write_dataset(world, RunFolder(world.store, SECOND, "r2").dataset, "Title", users)
    return world


def publish(world: World) -> str:
    staging = world.stage(SECOND, "r2")
    from tasks.release.publish import publish

    return publish(world.store, staging, world.audit(staging)).release_id


def test_the_report_of_a_published_night_tells_all_of_it(world: World) -> None:
    release_id = publish(world)
    record = the_run(release_id=release_id, warnings=["look at this"])
    path = write_report(world.store, record, configuration(world))
    page = Page(path.read_text(encoding="utf-8"))
    assert path == world.store.root / "reports" / f"{release_id}.html"
    assert path.read_bytes() == RunFolder(world.store, SECOND, "r2").report.read_bytes()
    for told in (release_id, SECOND, "published", "Active: readers get this release.", "look at this"):
        assert told in page.text
    assert page.row("read") == ["read", "1,010", "1,010"]
    assert page.row("item_missing") == ["item_missing", "3", "3"]
    assert page.row("unaccounted for") == ["unaccounted for", "0", "0"]
    assert page.row("not_null", "user_id")[2:] == ["✓ passed", "0", "0", "0"]
    assert page.row("measure als") == ["measure als", "12", "1.5", "", "1.0 MiB", "cpu"]
    assert page.row("all")[2] == "9.0"


def test_metrics_stand_with_their_intervals_and_changes_beside_the_references(world: World) -> None:
    page = Page(report_page(world.store, the_run(), configuration(world)))
    tables = [at for at, row in enumerate(page.rows) if row[0] == "model"]
    assert [page.rows[at] for at in tables] == [["model", "NDCG", "Coverage"], ["model", "NDCG"]]
    als, popularity = ([" ".join(c.split()) for c in page.rows[tables[0] + n]] for n in (1, 2))
    assert als == ["als", "0.34560.3256 – 0.3656↑ +0.1456", "0.6000"]  # 0.2 the night before
    assert popularity == ["popularity", "0.10100.0810 – 0.1210↑ +0.0010", "0.2000"]
    html = report_page(world.store, the_run(), configuration(world))
    assert re.findall(r'<span class="best">([\d.]+)', html) == ["0.3456", "0.4500"]
    assert re.findall(r'class="change beyond">([^<]+)', html) == ["↑ +0.1456"]


def test_the_sampled_users_have_their_history_and_their_list_with_sources_and_reasons(world: World) -> None:
    html = report_page(world.store, the_run(), configuration(world))
    titles = re.findall(r'id="user-\d"><bdi>(\d+)</bdi> <span>([^<]+)</span>', html)
    assert titles == [
        ("10", "a heavy user · 2 events with 2 items"),
        ("20", "a light user · 1 event with 1 item"),
        ("40", "a user whose list the model did not fill alone · 1 event with 1 item"),
    ]
    page = Page(html)
    assert page.rows.count(["Title 101 101", "1", "2026-01-02"]) == 2  # in the histories of 10 and 20
    first = page.rows.index(["1", "Title 102 102", "als", "Title 100"])
    assert page.rows[first + 1 : first + 3] == [
        ["2", "Title 105 105", "als", ""],
        ["3", "Title 104 104", "als", ""],
    ]
    assert ["3", "Title 103 103", "popularity", ""] in page.rows


def test_the_plots_are_there_and_say_in_words_what_they_show(world: World) -> None:
    html = report_page(world.store, the_run(), configuration(world))
    names = re.findall(r'<figure id="plot-(\w+)"', html)
    assert names == ["ndcg", "breadth", "nights", "popularity", "churn"]
    said = re.findall(r'role="img" aria-label="([^"]+)"', html)
    assert said[0] == "NDCG at the largest k: als 0.450; popularity 0.120."
    assert said[2] == "NDCG@10: als from 0.200 to 0.346; popularity from 0.100 to 0.101."
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
def test_no_title_id_or_message_is_anything_but_text(world: World, tmp_path: Path, evil: str) -> None:
    (tmp_path / "other").mkdir()
    harmless = Page(hostile_page(make_world(tmp_path / "other"), "plain"))
    page = Page(hostile_page(world, evil))
    assert page.tags == harmless.tags
    assert {name for name, _ in page.attributes} == {name for name, _ in harmless.attributes}
    assert " ".join(evil.split())[:100].replace("\u202e", " ").replace("\u202c", " ").strip() in page.text
    assert "\u202e" not in page.text
    cells = [cell for row in page.rows for cell in row]
    assert max(map(len, cells)) < 700


def test_the_page_needs_nothing_from_anywhere(world: World) -> None:
    html = hostile_page(world, "plain")
    assert not re.search(r"https?:", html)
    assert not re.search(r"<(script|link|iframe|object|embed|img|base)\b|@import|@font-face|\bsrc=", html)
    assert all(target.startswith("#") for target in re.findall(r'\bhref="([^"]*)"', html))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "default-src 'none'" in html


def test_a_closed_gate_is_told_with_what_failed(world: World) -> None:
    page = Page(hostile_page(world, "plain"))
    assert "refused" in page.text
    assert "Why nothing was published" in page.text
    assert "second line" in page.text
    found = [row for row in page.rows if "✗ failed" in row]
    assert (
        found == [["plain", "plain", "✗ failed", "plain", "plain", "7"]] * 2
    )  # on top, and among all checks


def judged(*passed: bool) -> list[dict[str, Any]]:
    """Return rows of the quality gate, numbered."""
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


def test_a_night_that_is_not_good_enough_is_told_in_one_table_and_not_twice(world: World) -> None:
    rows = judged(True, False, True)
    said = "\n".join(["1 of 3 quality checks failed", *table_lines(rows)])
    record = the_run(state="failed", message=said, release_id=None, quality=rows)
    html = report_page(world.store, record, configuration(world))
    page = Page(html)
    assert "refused" in page.text
    assert "<p>1 of 3 quality checks failed</p>" in html
    bad = ["check 1", "0.1", "at least 0.5", "✗ failed"]
    assert page.rows.count(bad) == 2  # on top, and among all checks
    assert page.rows.count(["check 0", "0.0", "at least 0.5", "✓ passed"]) == 1
    assert html.count("check 1") == 2
    assert "2 of 3 passed" in page.text


def test_a_night_published_by_force_says_by_whom_why_and_what_had_failed(world: World) -> None:
    by = {"user": "ada", "host": "desk", "at": "2026-01-03T09:00:00+00:00", "reason": f"new shelf {EVIL}"}
    record = the_run(quality=judged(False), override=by | {"checks": ["check 0"]})
    html = report_page(world.store, record, configuration(world))
    page = Page(html)
    assert "Published by force" in page.text
    assert "ada on desk, 2026-01-03 09:00:00: new shelf <script>" in page.text
    assert "<script>" not in html
    assert ["check 0", "0.0", "at least 0.5", "✗ failed"] in page.rows


def test_a_run_that_came_nowhere_has_a_report_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    record = the_run(stations=[], state="failed", message="no files in https://user:hunter2@host/logs")
    record.save(world.store)
    path = write_report(world.store, record, configuration(world))
    html = path.read_text(encoding="utf-8")
    assert path == RunFolder(world.store, SECOND, "r2").report
    assert "hunter2" not in html
    assert "no files in" in html
    assert "<table" not in html
    assert find_report(world.store) == path


def test_without_samples_no_user_is_named(world: World) -> None:
    with_users = report_page(world.store, the_run(), configuration(world))
    without = report_page(world.store, the_run(), configuration(world, sample_users=0))
    assert "<bdi>10</bdi>" in with_users
    assert "Title 10" in with_users
    assert "<bdi>" not in without
    assert "Title 10" not in without
    assert "A few users" not in without


def test_a_report_lasts_as_long_as_its_release(world: World) -> None:
    record = the_run(release_id=publish(world))
    kept = write_report(world.store, record, configuration(world))
    old = world.store.report(f"{FIRST}-r1")
    old.write_text("<!DOCTYPE html>", encoding="utf-8")
    for day in ("2026-01-04", "2026-01-05"):
        world.publish(day, "r1")
    assert retain(world.store, 3) == [f"{FIRST}-r1"]
    assert not old.exists()
    assert kept.exists()
    assert retain(world.store, 2) == [record.release_id]
    assert not kept.exists()


def test_a_plot_is_the_same_bytes_each_time_and_takes_its_colours_from_the_page() -> None:
    drawn = [
        Line("als", 0, [1, 2], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3]),
        Line("random", 7, [1, 2], [0.1, 0.0]),
    ]
    first, second = (plot("a", lambda axis: lines(axis, drawn, "k", "NDCG")) for _ in range(2))
    assert first == second
    assert {"var(--model-0)", "var(--model-7)", "var(--ink)"} <= {*re.findall(r"var\(--[\w-]+\)", first)}
    assert not re.search(r"#0000[0-9a-f]{2}", first)
    assert "http" not in first
    assert ">NDCG</text>" in first


def lists(path: Path, rows: dict[int, list[int]], kind: Any = None) -> Path:
    columns = list(
        zip(*[(u, r, i) for u, items in rows.items() for r, i in enumerate(items, 1)], strict=True)
    )
    types = (pa.int64(), pa.int32(), kind or pa.int64())
    arrays = [pa.array(c, pa.int64()).cast(t) for c, t in zip(columns, types, strict=True)]
    pq.write_table(pa.table(dict(zip(("user_id", "rank", "item_id"), arrays, strict=True))), path)
    return path


def test_churn_counts_users_by_what_they_keep(tmp_path: Path) -> None:
    before = lists(tmp_path / "a", {1: [1, 2, 3], 2: [1, 2, 3], 3: [1, 2, 3], 4: [1, 2, 3], 6: [1, 2, 3]})
    after = lists(tmp_path / "b", {1: [1, 2, 3], 2: [3, 2, 1], 3: [1, 5, 6], 4: [7, 8, 9], 5: [1, 2, 3]})
    with duckdb.connect() as con:
        found = list_churn(con, before, after)
        assert found == Churn(3, (1, 1, 0, 2), 1)
        assert found.users == 4
        assert found.changed == 0.5
        assert found.overlap == pytest.approx((1 + 1 + 1 / 3 + 0) / 4)
        assert list_churn(con, before, after, depth=1) == Churn(1, (2, 2), 2)
        assert list_churn(con, before, lists(tmp_path / "c", {9: [1, 2, 3]})) is None
        assert list_churn(con, before, lists(tmp_path / "d", {1: [1, 2]}, pa.string())) is None
        assert list_churn(con, after, after) == Churn(3, (0, 0, 0, 5), 5)


def test_of_many_users_about_as_many_are_compared_as_asked(tmp_path: Path) -> None:
    path = lists(tmp_path / "a", {user: [1, 2] for user in range(3000)})
    with duckdb.connect() as con:
        found = list_churn(con, path, path, users=1000)
        assert found is not None
        assert found.share == pytest.approx(1 / 3)
        assert 800 < found.users < 1200
        assert found == list_churn(con, path, path, users=1000)
