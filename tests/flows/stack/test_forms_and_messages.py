"""The stack for its users: the form in a real browser, the schedule, a killed run's message."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import time
from contextlib import suppress
from typing import Any

import duckdb
import psutil
import pytest
from playwright.sync_api import TimeoutError  # noqa: A004 - its own, not the built-in one
from worlds.night_world import FIRST, THIRD, Night
from worlds.stack_world import Up, until

pytestmark = pytest.mark.prefect
FOURTH = FIRST + dt.timedelta(days=3)


def show_deployment(page: Any, name: str) -> None:
    """Open the page of a deployment by the links to it, again if a busy machine lost a click."""
    link = page.get_by_role("link", name=name, exact=True)
    run = page.get_by_role("button", name="Run", exact=True)

    def shown() -> bool:
        page.get_by_role("link", name="Deployments", exact=True).first.click()
        page.get_by_role("row").filter(has=link).get_by_role("link", name=name, exact=True).first.click()
        with suppress(TimeoutError):
            run.wait_for(timeout=20_000)
        return bool(run.count())

    until(shown, f"the page of {name}")


def form_of(page: Any, name: str) -> None:
    """Open the form of a deployment by the links to it."""
    show_deployment(page, name)
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


def submitted(page: Any, up: Up, name: str) -> Any:
    """Submit the form and return its run; on a busy machine a click can come before the page is ready."""
    runs = {"flow_runs": {"deployment_id": {"any_": [up.server.deployment(name)["id"]]}}}
    submit, clicked = page.get_by_role("button", name="Submit"), 0.0

    def poll() -> Any:
        nonlocal clicked
        if submit.count() and time.monotonic() > clicked + 20:
            submit.click()
            clicked = time.monotonic()
        return up.server.ask("flow_runs/filter", runs)

    (run,) = until(poll, "the run of the form")
    return run


def test_the_form_backfills_three_dates(page: Any, up: Up, night: Night) -> None:
    form_of(page, "backfill")
    pick(page, "start", FIRST)
    pick(page, "end", THIRD)
    page.get_by_role("switch", name=re.compile("^dry_run")).click()
    page.get_by_label(re.compile("^reason")).fill("the first three days")
    page.get_by_label(re.compile("^config")).fill(str(night.config))
    run = up.server.ended(submitted(page, up, "backfill")["id"])
    assert (run["name"], run["state_name"]) == ("backfill 2026-03-02..2026-03-04", "Completed")
    show_deployment(page, "backfill")
    page.get_by_text(run["name"]).first.wait_for()
    page.get_by_text("Completed", exact=True).first.wait_for()
    assert [name[:10] for name in night.published()] == [str(FIRST + dt.timedelta(days=n)) for n in range(3)]
    for release_id in night.published():
        assert counts_of(night, release_id) == (release_id[:10], *expected(night, release_id[:10]))


def test_one_date_of_a_backfill_is_cancelled_by_its_button(page: Any, up: Up, night: Night) -> None:
    second = FIRST + dt.timedelta(days=1)
    options = {"start": str(FIRST), "end": str(second), "dry_run": False, "max_parallel": 2}
    store = night.store.create()
    with store.date_lock(second, "nightly"):  # so that the date cannot end before it is cancelled
        backfill = up.server.begin("backfill", config=str(night.config), **options)
        dates = {"flow_runs": {"parent_flow_run_id": {"any_": [backfill]}}}

        def runs() -> dict[str, Any]:
            return {run["name"]: run for run in up.server.ask("flow_runs/filter", dates)}

        name = f"backfill {second}"
        until(lambda: runs().get(name, {}).get("state_type") == "RUNNING", "the run of the second date")
        page.goto(f"{up.server.url}/runs/flow-run/{runs()[name]['id']}")
        page.get_by_role("button", name="Cancel").first.click()
        page.get_by_role("button", name="Confirm").click()
        run = up.server.ended(backfill)
    assert (run["state_type"], run["state"]["message"]) == ("CANCELLED", f"1 of 2 dates cancelled: {second}")
    ended = {name: run["state_name"] for name, run in runs().items()}
    assert ended == {f"backfill {FIRST}": "Completed", name: "Cancelled"}
    assert [release_id[:10] for release_id in night.published()] == [str(FIRST)]
    page.goto(up.server.url)


def counts_of(night: Night, release_id: str) -> tuple[str, int, int]:
    """Return the date, users and rows of a release."""
    with duckdb.connect(
        str(night.store.release(release_id) / "nightshelf.duckdb"), read_only=True
    ) as release:
        counts = "count(DISTINCT user_id), count(*), count(DISTINCT (user_id, rank))"
        ((users, rows, ranks),) = release.execute(f"SELECT {counts} FROM recommendations").fetchall()
        ((as_of,),) = release.execute("SELECT as_of FROM release_info").fetchall()
    assert ranks == rows
    return str(as_of), users, rows


def expected(night: Night, day: str) -> tuple[int, int]:
    """Return the number of users in the logs up to a date, and the rows of their lists of six."""
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
def test_every_parameter_has_its_input(page: Any, up: Up, name: str) -> None:
    form_of(page, name)
    shown = up.server.deployment(name)["parameter_openapi_schema"]["properties"]
    for key, schema in shown.items():
        page.get_by_text(re.compile(rf"^{key}( \(Optional\))?$")).first.wait_for()
        assert page.get_by_text(schema["description"]).count(), key
    assert page.locator("form .cm-editor").count() == 0, "a box of JSON"
    assert page.get_by_text('Property is type "None"').count() == 0
    kinds = [schema.get("format") or schema["type"] for schema in shown.values()]
    switches = page.get_by_role("switch").count()
    assert switches == kinds.count("boolean") + 1  # and one switch of Prefect below the parameters
    assert page.locator("form textarea").count() == kinds.count("string") - sum(
        "enum" in schema for schema in shown.values()
    )
    assert page.get_by_text("Pick a date").count() == kinds.count("date")


def test_a_refused_night_names_the_failed_check_in_the_first_screen(page: Any, up: Up, night: Night) -> None:
    refusing = {"as_of": str(FIRST), "overrides": ["gate.min_events=1000000"]}
    run = up.server.ended(up.server.begin("nightly", config=str(night.config), **refusing))
    before = page.viewport_size
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(f"{up.server.url}/runs/flow-run/{run['id']}")
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("refused: min_events").first.wait_for()
    page.locator(".flow-run-artifacts a").filter(has_text="night-").first.click()
    for shown in (page.get_by_role("heading", name="refused: min_events"), page.get_by_role("cell")):
        shown.first.wait_for()
        box = shown.first.bounding_box()
        assert box["x"] + box["width"] <= 1400
        assert box["y"] + box["height"] <= 900
    assert page.get_by_role("cell").first.inner_text() == "min_events"
    page.set_viewport_size(before)
    page.goto(up.server.url)


def test_the_schedule_starts_a_night_that_publishes(up: Up, night: Night) -> None:
    nightly = up.server.deployment("nightly")
    assert [schedule["schedule"]["cron"] for schedule in nightly["schedules"]] == ["30 2 * * *"]
    thrice_a_minute = {"cron": "* * * * * */20", "timezone": "UTC"}
    parameters = {"as_of": str(FOURTH), "config": str(night.config)}
    schedule = {"schedule": thrice_a_minute, "active": True, "parameters": parameters}
    before = dt.datetime.now(dt.UTC)
    (added,) = up.server.ask(f"deployments/{nightly['id']}/schedules", [schedule])
    begun = {
        "flow_runs": {
            "deployment_id": {"any_": [nightly["id"]]},
            "expected_start_time": {"after_": before.isoformat()},
            "state": {"type": {"any_": ["PENDING", "RUNNING", "COMPLETED", "FAILED"]}},
        }
    }
    (run, *_) = until(lambda: up.server.ask("flow_runs/filter", begun), "a scheduled run")
    up.server.ask(f"deployments/{nightly['id']}/schedules/{added['id']}", method="DELETE")
    run = up.server.ended(run["id"])
    assert (run["state_name"], run["auto_scheduled"]) == ("Completed", True), run["state"]["message"]
    (record,) = night.records()
    assert record.as_of == FOURTH
    assert night.pointed() == record.release_id


def test_a_killed_run_is_crashed_and_reported(up: Up, night: Night) -> None:
    earlier = {run["id"] for run in up.server.ask("flow_runs/filter", {})}
    run_id = up.server.begin("nightly", as_of=str(FIRST), config=str(night.config))

    def process() -> psutil.Process | None:
        for process in psutil.process_iter():
            try:
                flow_run = process.environ().get("PREFECT__FLOW_RUN_ID", "")
                if flow_run.replace("-", "") == run_id.replace("-", ""):
                    return process
            except psutil.Error:
                continue
        return None

    os.kill(until(process, "the process of the run").pid, signal.SIGKILL)
    run = up.server.ended(run_id)
    assert run["state_type"] == "CRASHED"
    failed = up.server.ended(up.server.begin("nightly", as_of="1999-12-31", config=str(night.config)))
    assert failed["state_type"] == "FAILED"
    messages = [
        until(lambda run=run: [post for post in up.posted if post["flow_run_id"] == run["id"]], "a message")
        for run in (run, failed)
    ]
    # Prefect promises to act on an event at least once; on a busy machine it may act twice
    assert [{post["state"] for post in posts} for posts in messages] == [{"Crashed"}, {"Failed"}]
    assert messages[1][0]["text"] == f"nightly: {failed['name']} is Failed"
    assert messages[1][0]["message"] == failed["state"]["message"]
    assert messages[1][0]["url"].startswith(up.server.url)
    # other tests of this stack have failed runs, too
    assert {post["flow_run_id"] for post in up.posted} - earlier == {run["id"], failed["id"]}


def test_the_webhook_is_kept_secret(up: Up) -> None:
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in up.folder.glob("logs/*"))
    assert "kept-secret" not in logs + (up.folder / "stack.json").read_text(encoding="utf-8")
    for part in up.stack.parts:
        process = part.process()
        assert process is not None
        assert "kept-secret" not in "".join([*process.cmdline(), *process.environ().values()])
    shown = up.server.ask("block_documents/filter", {})
    assert [block["name"] for block in shown] == ["nightshelf-webhook"]
    assert "kept-secret" not in str(shown)
