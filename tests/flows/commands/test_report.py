"""Reports of real nights: written for every ending, opened by the command and a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds.accessible_pages import problems
from worlds.night_world import FIRST, SECOND, TEXT, THIRD, Night, shop, write_logs
from worlds.report_world import Page

from flows.night.run import evaluate_only, run_night
from tasks.report.markdown import night_page
from tasks.report.paths import find_report, report_of
from tasks.runtime.errors import UserError

MODELS = 'models = ["popularity", "random"]\nserve = "popularity"'
REPORTED = TEXT.replace("enabled = false", "enabled = true").replace("ks = [5]", "ks = [5, 10]")
COMMAND = [sys.executable, "-c", "from flows.command_line import main; main()", "report"]
PLOTS = {"ranks", "ndcg", "recall", "hitrate", "breadth", "nights", "popularity", "churn"}

PROBLEMS = """() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  for (const table of all('table')) {
    if (!table.caption || !table.caption.innerText.trim()) found.push('a table without a caption');
    for (const cell of table.tHead.querySelectorAll('th')) {
      if (cell.scope !== 'col' || !cell.innerText.trim()) found.push('a head cell without scope or text');
    }
  }
  for (const image of all('[role=img]')) {
    if (!(image.getAttribute('aria-label') || '').trim()) found.push('a picture without words');
  }
  for (const named of all('[aria-labelledby]')) {
    for (const id of named.getAttribute('aria-labelledby').split(' ')) {
      if (!document.getElementById(id)) found.push('no element with the id ' + id);
    }
  }
  for (const link of all('a[href^="#"]')) {
    if (!document.querySelector(link.getAttribute('href'))) found.push('a link that leads nowhere');
  }
  const ids = all('[id]').map((element) => element.id);
  if (new Set(ids).size !== ids.length) found.push('an id that is not unique');
  if (all('h1').length !== 1 || !document.documentElement.lang || !document.title) found.push('no title');
  let level = 1;
  for (const heading of all('h1, h2, h3')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) found.push('a heading that skips a level: ' + heading.innerText);
    level = next;
  }
  return found;
}"""
CONTRASTS = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const linear = (c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((c) => linear(c / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
    }
    return null;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.data.trim() || !node.parentElement.getClientRects().length) continue;
    const style = getComputedStyle(node.parentElement);
    const colour = node.parentElement.closest('svg') ? style.fill : style.color;
    const pair = [light(parts(colour).slice(0, 3)), light(behind(node.parentElement))].sort();
    found.push([(Math.max(...pair) + .05) / (Math.min(...pair) + .05), node.data.trim()]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop after two nights and a refused one, each with its report."""
    folder = tmp_path_factory.mktemp("shop")
    night = shop(folder, write_logs(folder / "logs"), REPORTED, MODELS)
    for day in (FIRST, SECOND):
        run_night(night.configured(), day)
    with pytest.raises(UserError):
        run_night(night.configured(gate__min_events=1_000_000), THIRD)
    return night


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=["light, wide", "dark, narrow"])
def page(request: pytest.FixtureRequest, browser: Any, night: Night) -> Iterator[Any]:
    """Yield the second night's report, opened offline; it must request nothing else."""
    scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_offline(True)
    path, requests, messages = report_of(night.store, night.records()[1]), list[str](), list[str]()
    assert path is not None
    context.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.as_uri())
    yield page
    assert requests == [path.as_uri()]
    assert messages == []
    context.close()


def test_every_plot_is_visible_and_within_the_page(page: Any) -> None:
    plots = page.locator("figure")
    assert {plot.get_attribute("id").removeprefix("plot-") for plot in plots.all()} == PLOTS
    width = page.viewport_size["width"]
    for plot in plots.all():
        box = plot.locator("[role=img] > svg").bounding_box()
        assert box["width"] >= min(300, width - 60)
        assert 0.5 < box["height"] / box["width"] < 0.8
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        drawn = plot.locator("svg path[clip-path], svg g[clip-path], svg use").all()
        assert sum((shape.bounding_box() or {"width": 0})["width"] > 2 for shape in drawn) >= 2
        assert len(plot.locator("svg text").all()) >= 4
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_is_accessible(page: Any) -> None:
    assert page.evaluate(PROBLEMS) == []
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [contrast for contrast in contrasts if contrast[0] < 4.5] == []


def test_the_page_has_separate_colours_for_dark_mode_and_print(browser: Any, night: Night) -> None:
    path = report_of(night.store, night.records()[1])
    assert path is not None
    page = browser.new_page(color_scheme="dark")
    page.goto(path.as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(20, 23, 27)"
    page.emulate_media(media="print")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    assert not any(links.is_visible() for links in page.locator("nav").all())
    page.close()


def test_pages_pass_an_accessibility_checker_on_a_phone_and_a_desk(browser: Any, night: Night) -> None:
    _, published, refused = (report_of(night.store, record) for record in night.records())
    assert published is not None
    assert refused is not None
    assert problems(browser, published, refused, night.store.releases_page) == []


def test_pages_lead_to_files(night: Night) -> None:
    pages = [night.store.releases_page, *night.store.root.glob("**/report.html")]
    pages += [
        *night.store.reports.glob("*/index.html"),
        *night.store.root.glob("runs/**/data_docs/index.html"),
    ]
    assert len(pages) == 1 + 3 + 2 + 3
    for page in pages:
        attributes = Page(page.read_text(encoding="utf-8")).attributes
        links = [value for name, value in attributes if name == "href" and value and value[0] != "#"]
        assert links
        assert all((page.parent / link).is_file() for link in links), page


def page_text(html: str) -> str:
    return Page(html).text


def test_each_night_leaves_its_report_and_a_release_keeps_it(night: Night) -> None:
    first, second, refused = night.records()
    for record in (first, second):
        assert record.release_id is not None
        kept = night.store.report(record.release_id)
        assert report_of(night.store, record) == kept
        own = record.folder(night.store).report.read_text(encoding="utf-8")
        assert page_text(own) == page_text(kept.read_text(encoding="utf-8"))
        assert record.release_id in kept.read_text(encoding="utf-8")
    html = refused.folder(night.store).report.read_text(encoding="utf-8")
    assert "Why nothing was published" in html
    assert "✗ failed" in html
    assert "min_events" in html
    assert f"| report | {str(kept).replace('_', chr(92) + '_')} |" in night_page(night.store, second)


def test_the_command_prints_the_path_and_opens_it(night: Night, tmp_path: Path) -> None:
    _, second, refused = night.records()
    opened, opener = tmp_path / "opened", tmp_path / "browser"
    opener.write_text(
        f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n', encoding="utf-8"
    )
    opener.chmod(0o755)

    def run_report(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "--store", str(night.store.root), *arguments]
        environment = {"BROWSER": str(opener), "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert run_report().stdout.strip() == str(find_report(night.store))
    assert find_report(night.store) == refused.folder(night.store).report
    printed = run_report("--release", str(second.release_id), "--json", "--open")
    assert json.loads(printed.stdout) == {"report": str(night.store.report(str(second.release_id)))}
    assert opened.read_text(encoding="utf-8").strip() == night.store.report(str(second.release_id)).as_uri()
    assert find_report(night.store, run_id=second.run_id) == night.store.report(str(second.release_id))
    missing = run_report("--run", "r9")
    assert missing.returncode == 1
    assert "unknown run 'r9'; known: " in missing.stderr


def test_an_evaluation_has_a_report_too(night: Night, tmp_path: Path) -> None:
    shop_copy = shop(tmp_path / "other", night.logs, REPORTED, MODELS)
    record = evaluate_only(shop_copy.configured(), SECOND)
    html = find_report(shop_copy.store).read_text(encoding="utf-8")
    assert f"Evaluation of {SECOND}: measured" in html
    assert 'id="plot-ndcg"' in html
    assert not (shop_copy.store.root / "reports").exists()
    assert record.release_id is None


def test_a_report_that_cannot_be_written_does_not_end_a_night(
    night: Night, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop_copy = shop(tmp_path / "other", night.logs, REPORTED, MODELS)
    shop_copy.store.create()
    (shop_copy.store.root / "reports").write_text("in the way", encoding="utf-8")
    record = run_night(shop_copy.configured(evaluation__enabled=False), SECOND)
    assert record.state == "published"
    assert shop_copy.pointed() == record.release_id
    assert "the report of the run is not written: " in caplog.text
    assert "a file stands where a folder is needed" in caplog.text


def test_without_reports_none_is_written(night: Night, tmp_path: Path) -> None:
    shop_copy = shop(tmp_path / "other", night.logs, REPORTED, MODELS)
    with pytest.raises(UserError, match="min_events"):
        run_night(shop_copy.configured(gate__min_events=1_000_000, report__enabled=False), SECOND)
    assert len(shop_copy.records()) == 1
    with pytest.raises(UserError, match="no report about run"):
        find_report(shop_copy.store)
