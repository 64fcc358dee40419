"""The Prefect flow on a real server: its task runs, its failures, its dates."""

from __future__ import annotations

import json
import logging
import re
import shutil
import uuid
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner
from worlds.night_world import FIRST, TEXT, Night, shop, write_logs

from flows.command_line import app
from tasks.monitoring import readiness

pytestmark = pytest.mark.prefect

STATIONS = ["interactions", "validation_results", "dataset", "release_scores", "popular_items"]
STATIONS += [
    "measure popularity",
    "measure recent_popularity",
    "train popularity",
    "recommendations",
    "similar_items",
]
STATIONS += ["quality", "release"]


@pytest.fixture(scope="module")
def tonight(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop whose logs end yesterday."""
    folder = tmp_path_factory.mktemp("tonight")
    yesterday = datetime.now(ZoneInfo("UTC")).date() - timedelta(days=1)
    return shop(folder, write_logs(folder / "logs", yesterday, days=2))


def yesterday_of(night: Night) -> date:
    """Return the last day of the logs."""
    return max(date.fromisoformat(path.stem.removeprefix("events-")) for path in night.logs.glob("events-*"))


def runs_of(flow_run_id: uuid.UUID) -> tuple[Any, list[Any]]:
    """Return a flow run and its task runs from the server."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        return client.read_flow_run(flow_run_id), client.read_task_runs(flow_run_filter=only)


def test_the_flow_publishes_yesterday_and_its_tasks_are_the_stations(
    prefect_server: str, tonight: Night
) -> None:
    from flows.orchestration.parameters import yesterday
    from flows.run_nightly import nightly

    expected = {yesterday(tonight.configured())}
    state = nightly(str(tonight.config), return_state=True)
    expected.add(yesterday(tonight.configured()))
    assert state.is_completed(), state.message
    record = state.result()
    assert record.as_of in expected
    assert record.release_id == tonight.pointed()
    run, tasks = runs_of(state.state_details.flow_run_id)
    assert run.name in {f"nightly {day}" for day in expected}
    names = {*STATIONS, "holdout", "tables and releases"}
    assert {task.name for task in tasks} == {name.replace("_", " ") for name in names}
    assert {task.state_name for task in tasks} == {"Completed"}


def test_a_run_that_starts_late_makes_the_date_it_was_scheduled_for(
    prefect_server: str, tonight: Night, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Scheduled

    from flows.run_nightly import nightly

    fresh, parameters = shop(tmp_path / "shop", tonight.logs), {"as_of": "yesterday"}
    day = yesterday_of(tonight) - timedelta(days=1)
    due = datetime.combine(day, datetime.min.time(), ZoneInfo("UTC")) + timedelta(days=1)  # always past
    parameters["config"] = str(fresh.config)
    with get_client(sync_client=True) as client:
        late = client.create_flow_run(nightly, parameters=parameters, state=Scheduled(scheduled_time=due))
    state = run_flow(nightly, flow_run=late, parameters=parameters, return_type="state")
    assert state.is_completed(), state.message  # type: ignore[union-attr]
    (record,) = fresh.records()
    assert (record.as_of, record.state) == (day, "published")
    assert runs_of(late.id)[0].name == f"nightly {day}"


@pytest.mark.parametrize(
    ("catch_up", "order", "made"),
    [("none", (0, 1, 2), 3), ("last", (1, 0, 2), 1), ("all", (2, 0, 1), 3)],
)
def test_after_downtime_late_nights_make_what_catch_up_says_and_none_fails(
    prefect_server: str, tmp_path: Path, catch_up: str, order: tuple[int, ...], made: int
) -> None:
    """Three nights that start late, in the order in which a worker happens to start them."""
    from flows.night.run import run_night
    from flows.orchestration.artifacts import artifact_key

    yesterday = datetime.now(ZoneInfo("UTC")).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=number) for number in (3, 2, 1, 0)]
    text = TEXT + f'[schedule]\ncatch_up = "{catch_up}"\n[quality]\nenabled = false\n'
    models = 'models = ["popularity"]\nserve = "popularity"'
    fresh = shop(tmp_path / "shop", write_logs(tmp_path / "logs", days[0], days=4), text, models)
    run_night(fresh.configured(evaluation__enabled=False), days[0])
    assert missing_in_status(fresh) == [str(day) for day in days[1:]]
    parameters = {"config": str(fresh.config), "overrides": ["evaluation.enabled=false"]}
    states = {day: late_night_of(day, parameters) for day in (days[1 + number] for number in order)}
    assert all(state.is_completed() for state in states.values()), states
    published = sorted({name[:10] for name in fresh.published()})
    assert published == [str(days[0]), *map(str, days[4 - made :])]
    assert len(fresh.published()) == 1 + made  # none was made twice
    assert str(fresh.pointed()).startswith(str(yesterday))
    assert missing_in_status(fresh) == [str(day) for day in days[1:] if str(day) not in published]
    pages = pages_of(artifact_key("night", fresh.store))
    assert any("2 past dates have no release" in page for page in pages)
    said = [str(state.message) for day, state in states.items() if day != yesterday]
    expected = {"none": None, "last": "is not made: it is past", "all": "it was published meanwhile as"}
    assert all(str(expected[catch_up] or "") in message for message in said)


def pages_of(key: str) -> list[str]:
    """Return the pages of all nights of a store."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        of_key = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return [str(artifact.data) for artifact in client.read_artifacts(artifact_filter=of_key)]


def late_night_of(day: date, parameters: dict[str, Any]) -> Any:
    """Run the flow as a worker does that finds a run late; return its state."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Scheduled

    from flows.run_nightly import nightly

    due = datetime.combine(day, datetime.min.time(), ZoneInfo("UTC")) + timedelta(days=1)  # always past
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(nightly, parameters=parameters, state=Scheduled(scheduled_time=due))
    return run_flow(nightly, flow_run=run, parameters=parameters, return_type="state")


def missing_in_status(night: Night) -> list[str]:
    """Return the missing dates that `status` shows; `doctor` must call them a problem."""
    answer = CliRunner().invoke(app, ["status", "--config", str(night.config), "--json"])
    missing: list[str] = json.loads(answer.stdout)["missing_dates"]
    chosen = night.configured().schedule.catch_up == "last"
    checks = [*readiness.missing_check([date.fromisoformat(day) for day in missing], by_choice=chosen)]
    assert [check.state for check in checks] == ["missing" if chosen else "problem"] * bool(missing)
    shown = CliRunner().invoke(app, ["status", "--config", str(night.config)]).stdout
    assert all(day in shown for day in missing)
    assert ("missing" in shown) == bool(missing)
    return missing


def test_a_users_mistake_fails_the_run_with_only_its_message(
    prefect_server: str, tonight: Night, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.run_nightly import run_with_prefect
    from tasks.runtime.progress import silent

    fresh = shop(tmp_path / "shop", tonight.logs)
    long_ago = date(1999, 12, 31)
    record, message = run_with_prefect(fresh.config, long_ago, silent)
    assert record is None
    assert "1999-12-31" in message
    assert fresh.published() == []
    assert fresh.records()[-1].state == "failed"
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    assert "Finished in state" not in printed


def test_the_log_of_a_flow_run_that_ends_by_a_mistake_ends_with_its_message(
    prefect_server: str, tonight: Night, tmp_path: Path
) -> None:
    """As a worker's process runs it: Prefect would add the state, and a traceback of its own."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.logging.loggers import flow_run_logger

    from flows.flip_release import publish
    from flows.run_backfill import backfill
    from flows.run_evaluation import evaluate
    from flows.run_nightly import nightly

    logged: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = logged.append  # type: ignore[method-assign]
    fresh = shop(tmp_path / "shop", tonight.logs)
    runs: list[tuple[Any, dict[str, Any], str]] = [
        (nightly, {"as_of": "1999-01-01"}, "of the gate's expectations failed"),
        (nightly, {"as_of": "tomorrow"}, "received invalid parameters"),
        (evaluate, {"as_of": "1999-99-99"}, "expected yesterday or a date"),
        (backfill, {"start": "2026-03-05", "end": "2026-03-01"}, "expected an end on or after the start"),
        (publish, {"release_id": "x", "reason": "why"}, "nothing is published"),
    ]
    logging.getLogger("prefect.flow_runs").addHandler(handler)
    try:
        for flow, parameters, message in runs:
            with get_client(sync_client=True) as client:
                run = client.create_flow_run(flow, parameters=parameters | {"config": str(fresh.config)})
            with pytest.raises(Exception, match=re.escape(message)):
                run_flow(flow, flow_run=run, parameters=run.parameters, error_logger=flow_run_logger(run))
            assert message in logged[-1].getMessage(), flow.name
            assert [record for record in logged if record.levelno >= logging.ERROR] == [logged[-1]]
            assert not logged[-1].exc_info
            logged.clear()
    finally:
        logging.getLogger("prefect.flow_runs").removeHandler(handler)


def test_the_failed_task_is_the_station_that_refused(
    prefect_server: str, tonight: Night, tmp_path: Path
) -> None:
    from flows.run_nightly import nightly

    fresh = shop(tmp_path / "shop", tonight.logs)
    (fresh.folder / "nightshelf.toml").write_text(
        fresh.config.read_text(encoding="utf-8").replace("/events-*.csv", "/nothing-*.csv"), encoding="utf-8"
    )
    state = nightly(str(fresh.config), str(FIRST), return_state=True)
    assert state.is_failed()
    assert "no files there" in state.message
    _, tasks = runs_of(state.state_details.flow_run_id)
    assert {(task.name, task.state_name) for task in tasks} == {
        ("interactions", "Failed"),
        ("tables and releases", "Completed"),  # of the page
    }
    assert [task.state.message for task in tasks if task.name == "interactions"] == [state.message]
    assert fresh.pointed() is None


def test_a_retry_of_the_flow_run_continues_after_its_last_finished_station(
    prefect_server: str, tonight: Night, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.run_nightly import nightly

    logs = tmp_path / "logs"
    shutil.copytree(tonight.logs, logs)
    fresh = shop(tmp_path / "shop", logs)
    catalogue = (logs / "items.csv").rename(logs / "mislaid.csv")
    day = yesterday_of(fresh)
    state = nightly(str(fresh.config), str(day), return_state=True)
    assert state.is_failed()
    catalogue.rename(logs / "items.csv")
    run_id = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, AwaitingRetry(), force=True)
        run = client.read_flow_run(run_id)
    retried = run_flow(nightly, flow_run=run, parameters=run.parameters, return_type="state")
    assert retried.is_completed(), retried.message
    record = retried.result()
    assert [saved.run_id for saved in fresh.records()] == [record.run_id]
    assert record.release_id == fresh.pointed()
    names = [task.name for task in runs_of(run_id)[1]]
    assert (names.count("interactions"), names.count("dataset"), names.count("release")) == (1, 2, 1)


def test_a_defect_fails_the_run_too(prefect_server: str, tonight: Night, tmp_path: Path) -> None:
    from flows.run_nightly import nightly

    state = nightly(str(tonight.config), "not a date", return_state=True)
    assert state.is_failed()
    state = nightly(str(tmp_path / "none.toml"), str(FIRST), return_state=True)
    assert state.is_failed()
    assert state.message.endswith("none.toml: cannot read the configuration: No such file or directory")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])  # a day apart, or two
def test_yesterday_is_in_the_time_zone_of_the_source(tonight: Night, tmp_path: Path, zone: str) -> None:
    from flows.orchestration.parameters import yesterday

    there = shop(tmp_path / "shop", tonight.logs)
    text = there.config.read_text(encoding="utf-8")
    there.config.write_text(text.replace("[source]\n", f'[source]\ntime_zone = "{zone}"\n'), encoding="utf-8")
    expected = {datetime.now(ZoneInfo(zone)).date() - timedelta(days=1)}
    day = yesterday(there.configured())
    expected.add(datetime.now(ZoneInfo(zone)).date() - timedelta(days=1))
    assert day in expected
