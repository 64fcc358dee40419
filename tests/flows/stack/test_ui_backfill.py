"""The stack as its users meet it: the form in a real browser, the schedule, a killed run and its message."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from worlds.night_world import FIRST, THIRD, Night, shop, write_logs
from worlds.stack_world import Up, stack_up, until

pytestmark = pytest.mark.prefect
FOURTH = FIRST + dt.timedelta(days=3)
CHOSEN = 'models = ["popularity"]\nserve = "popularity"'
"""Little to train: the tests are about who starts the run, and what becomes of it."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("shop")
    return shop(folder, write_logs(folder / "logs"), models=CHOSEN)


@pytest.fixture(scope="module")
def up(night: Night) -> Iterator[Up]:
    with stack_up(night.config) as up:
        yield up


@pytest.fixture
def page(browser: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a page of the browser; a picture of it is kept if the test fails."""
    page = browser.new_page(viewport={"width": 1300, "height": 1600})
    page.set_default_timeout(60_000)
    failures = request.session.testsfailed
    try:
        yield page
    finally:
        if request.session.testsfailed > failures:
            page.screenshot(path=tmp_path / "page.png", full_page=True)
        page.close()


def form_of(page: Any, up: Up, name: str) -> None:
    """Open the form of a deployment, as a person gets there."""
    page.goto(up.server.url)
    page.get_by_role("link", name="Deployments", exact=True).click()
    page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True)).get_by_role(
        "link", name=name, exact=True
    ).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    page.get_by_role("heading", name="Parameters").wait_for()


def pick(page: Any, label: str, day: dt.date) -> None:
    """Choose a date in a date picker."""
    page.get_by_label(label, exact=True).click()
    page.get_by_label("Date (yyyy-MM-dd)").fill(str(day))
    page.keyboard.press("Escape")
    shown = page.get_by_label(label, exact=True)
    shown.filter(has_text=re.compile(str(day.year))).wait_for()


def test_a_person_backfills_three_dates_by_the_form(page: Any, up: Up, night: Night) -> None:
    form_of(page, up, "backfill")
    pick(page, "start", FIRST)
    pick(page, "end", THIRD)
    page.get_by_role("switch", name=re.compile("^dry_run")).click()
    page.get_by_label(re.compile("^reason")).fill("the first three days")
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("link", name="View run").or_(page.get_by_role("button", name="View run")).first.click()
    page.get_by_text(re.compile(r"^backfill 2026-03-02\.\.2026-03-04$")).first.wait_for()
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=300_000)
    assert [name[:10] for name in night.published()] == [str(FIRST + dt.timedelta(days=n)) for n in range(3)]
    for release_id in night.published():
        assert shown_by(night, release_id) == (release_id[:10], *expected(night, release_id[:10]))


def shown_by(night: Night, release_id: str) -> tuple[str, int, int]:
    """Return the date, the users and the rows that a release has."""
    with duckdb.connect(
        str(night.store.release(release_id) / "nightshelf.duckdb"), read_only=True
    ) as release:
        counts = "count(DISTINCT user_id), count(*), count(DISTINCT (user_id, rank))"
        ((users, rows, ranks),) = release.execute(f"SELECT {counts} FROM recommendations").fetchall()
        ((as_of,),) = release.execute("SELECT as_of FROM release_info").fetchall()
    assert ranks == rows
    return str(as_of), users, rows


def expected(night: Night, day: str) -> tuple[int, int]:
    """Return how many users the logs up to a date have, and rows of their lists of six."""
    with duckdb.connect() as logs:
        logs.execute(
            "SELECT count(DISTINCT user_id) FROM read_csv(?, header = true, delim = ',', all_varchar = true, "
            "filename = true, strict_mode = false, null_padding = true, ignore_errors = true) "
            "WHERE filename <= ?",  # some lines are broken on purpose
            [f"{night.logs}/events-*.csv", f"{night.logs}/events-{day}.csv"],
        )
        ((users,),) = logs.fetchall()
    return users, users * 6


@pytest.mark.parametrize("name", ["nightly", "backfill", "evaluate", "publish", "rollback", "train-models"])
def test_every_parameter_has_an_input_of_its_own(page: Any, up: Up, name: str) -> None:
    form_of(page, up, name)
    shown = up.server.deployment(name)["parameter_openapi_schema"]["properties"]
    for key, schema in shown.items():
        page.get_by_text(re.compile(rf"^{key}( \(Optional\))?$")).first.wait_for()
        assert page.get_by_text(schema["description"]).count(), key
    assert page.locator("form .cm-editor").count() == 0, "a box of JSON"
    assert page.get_by_text('Property is type "None"').count() == 0
    kinds = [schema.get("format") or schema["type"] for schema in shown.values()]
    switches = page.get_by_role("switch").count()
    assert switches == kinds.count("boolean") + 1  # and one of Prefect's own, under the parameters
    assert page.locator("form textarea").count() == kinds.count("string") - sum(
        "enum" in one for one in shown.values()
    )
    assert page.get_by_text("Pick a date").count() == kinds.count("date")


def test_the_schedule_starts_a_night_that_publishes(up: Up, night: Night) -> None:
    nightly = up.server.deployment("nightly")
    assert [one["schedule"]["cron"] for one in nightly["schedules"]] == ["30 2 * * *"]
    every_minute = {"schedule": {"cron": "* * * * *", "timezone": "UTC"}, "active": True}
    every_minute["parameters"] = {"as_of": str(FOURTH)}
    (added,) = up.server.ask(f"deployments/{nightly['id']}/schedules", [every_minute])
    asked = {
        "flow_runs": {
            "deployment_id": {"any_": [nightly["id"]]},
            "state": {"type": {"any_": ["PENDING", "RUNNING", "COMPLETED", "FAILED"]}},
        }
    }
    (run, *_) = until(lambda: up.server.ask("flow_runs/filter", asked), "a scheduled run")
    up.server.ask(f"deployments/{nightly['id']}/schedules/{added['id']}", method="DELETE")
    run = up.server.ended(run["id"])
    assert (run["state_name"], run["auto_scheduled"]) == ("Completed", True), run["state"]["message"]
    assert night.records()[-1].as_of == FOURTH
    assert night.pointed() == night.records()[-1].release_id


def test_a_killed_run_is_crashed_and_told_of_once(up: Up, night: Night) -> None:
    run_id = up.server.begin("nightly", as_of=str(FIRST))

    def process() -> psutil.Process | None:
        for one in psutil.process_iter():
            try:
                if one.environ().get("PREFECT__FLOW_RUN_ID", "").replace("-", "") == run_id.replace("-", ""):
                    return one
            except psutil.Error:
                continue
        return None

    os.kill(until(process, "the process of the run").pid, signal.SIGKILL)
    run = up.server.ended(run_id)
    assert run["state_type"] == "CRASHED"
    failed = up.server.ended(up.server.begin("nightly", as_of="1999-12-31"))
    assert failed["state_type"] == "FAILED"
    told = [
        until(lambda one=one: [post for post in up.posted if post["flow_run_id"] == one["id"]], "a message")
        for one in (run, failed)
    ]
    assert [[post["state"] for post in posts] for posts in told] == [["Crashed"], ["Failed"]]
    assert told[1][0]["text"] == f"nightly: {failed['name']} is Failed"
    assert told[1][0]["message"] == failed["state"]["message"]
    assert told[1][0]["url"].startswith(up.server.url)
    assert len(up.posted) == 2


def test_the_webhook_is_kept_secret(up: Up) -> None:
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in up.folder.glob("logs/*"))
    assert "kept-secret" not in logs + (up.folder / "stack.json").read_text(encoding="utf-8")
    for part in up.stack.parts:
        process = part.process()
        assert process is not None
        assert "kept-secret" not in "".join([*process.cmdline(), *process.environ().values()])
    shown = up.server.ask("block_documents/filter", {})
    assert [one["name"] for one in shown] == ["nightshelf-webhook"]
    assert "kept-secret" not in str(shown)
