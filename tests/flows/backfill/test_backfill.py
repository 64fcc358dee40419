"""Backfills: the plan, one run after another, what a failed date leaves, and all of it as a Prefect flow."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner
from worlds.night_world import FIRST, SECOND, THIRD, Night, shop, write_logs

from flows.backfill.dates import failures, run_backfill
from flows.backfill.plan import configured, estimate, plan, warnings
from flows.command_line import app
from flows.night.retries import directly
from flows.night.run import run_night
from tasks.configuration.configuration import Configuration
from tasks.release.releases import releases
from tasks.runtime.errors import ConfigurationError, InputError, UserError
from tasks.store.runs import RunRecord

BEFORE = FIRST - timedelta(days=1)  # no logs yet: a run for it is refused
FOURTH = FIRST + timedelta(days=3)


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with logs of four days whose only night was the third."""
    folder = tmp_path_factory.mktemp("third")
    night = shop(folder, write_logs(folder / "logs"))
    run_night(night.configured(), THIRD)
    return night


@pytest.fixture
def night(third: Night, tmp_path: Path) -> Night:
    return third.copy(tmp_path / "shop")


def small(night: Night) -> Configuration:
    """Return a configuration that keeps two releases and trains nothing but popularity.

    After a night of ALS its lists are poor: the quality gate would rightly refuse them.
    """
    popularity: dict[str, Any] = {"train__models": ["popularity"], "train__serve": "popularity"}
    popularity |= {"quality__enabled": False}
    return night.configured(store__keep_releases=2, evaluation__enabled=False, **popularity)


def failing_for(as_of: date, failure: Exception) -> Callable[..., Any]:
    """Return what runs a date, except that one date fails once its release is nearly there."""

    def around(name: str, work: Callable[[], Any]) -> Any:
        if name != f"backfill {as_of}":
            return work()

        def step(name: str, station: Callable[[], Any]) -> Any:
            if name == "release":
                raise failure
            return directly(name, station)

        order, _, report, trainer = work.args
        return work.func(order, step, report, trainer)

    return around


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def by_date(night: Night) -> dict[str, str]:
    return {name[:10]: name for name in night.published()}


def called(night: Night, *words: str, code: int = 0) -> Any:
    dates = ["--start", str(BEFORE), "--end", str(SECOND), "--config", str(night.config)]
    result = CliRunner().invoke(app, ["backfill", *dates, *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_modes_choose_dates_and_say_why(night: Night) -> None:
    configuration = night.configured()
    with pytest.raises(UserError):
        run_night(configuration, BEFORE)
    actions = {
        mode: [one.action for one in plan(configuration, BEFORE, FOURTH, mode)]
        for mode in ("missing", "failed", "all")
    }
    assert actions == {
        "missing": ["run", "run", "run", "skip", "run"],
        "failed": ["run", "skip", "skip", "skip", "skip"],
        "all": ["run"] * 5,
    }
    planned = plan(configuration, BEFORE, FOURTH, "missing", newest_first=True)
    assert [one.as_of for one in planned] == [FOURTH, THIRD, SECOND, FIRST, BEFORE]
    assert planned[0].reason == "no release"
    assert planned[1].reason == f"released as {night.pointed()}"
    assert planned[4].reason.startswith(f"run {night.records()[-1].run_id} failed: ")


def test_a_plan_changes_nothing_even_where_there_is_no_store(night: Night, tmp_path: Path) -> None:
    before = files(night.store.root)
    plan(night.configured(), FIRST, FOURTH)
    assert files(night.store.root) == before
    fresh = shop(tmp_path / "fresh", night.logs)
    planned = plan(fresh.configured(), FIRST, FOURTH)
    assert [one.action for one in planned] == ["run"] * 4
    assert estimate(fresh.configured(), planned) is None
    assert not fresh.store.root.exists()


def test_the_estimate_is_the_last_runs_seconds_for_every_date_to_run(night: Night) -> None:
    seconds = sum(station.seconds for station in night.records()[-1].stations)
    planned = plan(night.configured(), FIRST, FOURTH)
    assert estimate(night.configured(), planned) == pytest.approx(3 * seconds)
    assert warnings(night.configured(), planned) == ()
    kept, parallel = warnings(night.configured(store__keep_releases=2), planned, max_parallel=2)
    assert kept.startswith("3 dates to run, but [store] keep_releases is 2")
    assert parallel == "2 dates at once share the budget: 512MiB and 1 threads each"


def test_ranges_and_modes_that_mean_nothing_are_refused(third: Night) -> None:
    configuration = third.configured()
    with pytest.raises(UserError, match=r"on or after the start 2026-03-03, got 2026-03-02"):
        plan(configuration, SECOND, FIRST)
    tomorrow = datetime.now(ZoneInfo("UTC")).date() + timedelta(days=2)
    with pytest.raises(UserError, match=f"not in the future, got {tomorrow}"):
        plan(configuration, FIRST, tomorrow)
    with pytest.raises(UserError, match="unknown mode 'some'; known: missing, failed, all"):
        plan(configuration, FIRST, SECOND, "some")
    with pytest.raises(UserError, match="at most 3660 dates"):
        plan(configuration, date(202, 3, 2), SECOND)


def test_models_can_be_chosen_for_a_backfill(third: Night) -> None:
    assert configured(third.config).train.models == ("popularity", "recent_popularity")
    assert configured(third.config, ["als", "popularity"]).train.serve == "popularity"
    chosen = configured(third.config, ["als", "als"]).train
    assert (chosen.models, chosen.serve) == (("als",), "als")
    with pytest.raises(ConfigurationError, match="unknown model 'asl'; known: als"):
        configured(third.config, ["asl"])


def test_keys_of_the_configuration_can_be_replaced_for_a_backfill(third: Night) -> None:
    changed = configured(third.config, ["als"], {"models.als.factors": 2, "top_n.n": 3})
    assert (changed.train.models, changed.top_n.n) == (("als",), 3)
    assert changed.models["als"] == {"factors": 2, "iterations": 3}


@pytest.mark.parametrize("failure", [ZeroDivisionError("a defect"), InputError("a mistake")])
def test_a_backfill_with_a_fault_once_repeated_equals_a_clean_one(
    night: Night, tmp_path: Path, failure: Exception
) -> None:
    clean = night.copy(tmp_path / "clean")
    run_backfill(small(clean), plan(small(clean), FIRST, FOURTH, newest_first=True))
    first = run_backfill(
        small(night), plan(small(night), FIRST, FOURTH), around=failing_for(SECOND, failure), step=directly
    )
    assert [one.state for one in first] == ["published", "failed", "skipped", "published"]
    assert failures(first).startswith(f"1 of 3 dates failed\n{SECOND}: ")
    assert str(failure) in failures(first)
    assert plan(small(night), SECOND, SECOND, "failed")[0].action == "run"
    second = run_backfill(small(night), plan(small(night), FIRST, FOURTH))
    assert [one.action for one in second] == ["skip", "run", "skip", "skip"]
    assert failures(second) == ""
    assert (
        by_date(night).keys() == by_date(clean).keys() == {str(day) for day in (FIRST, SECOND, THIRD, FOURTH)}
    )
    for day, release_id in by_date(night).items():
        assert night.hashes(release_id) == clean.hashes(by_date(clean)[day]), day


def test_old_dates_are_published_without_moving_readers_or_removing_releases(night: Night) -> None:
    pointed = night.pointed()
    outcomes = run_backfill(small(night), plan(small(night), FIRST, SECOND))
    assert night.pointed() == pointed
    assert night.published() == sorted([str(pointed), *(str(one.release_id) for one in outcomes)])
    assert len(night.published()) == 3 > small(night).store.keep_releases
    assert [one.rows for one in outcomes] == [
        record.station("recommendations").rows for record in night.records() if record.as_of != THIRD
    ]
    assert all(one.seconds and one.seconds > 0 for one in outcomes)


def test_a_failed_date_stops_the_others_only_if_asked(night: Night) -> None:
    stopped = run_backfill(
        small(night), plan(small(night), BEFORE, SECOND), continue_on_error=False, lock_wait=0
    )
    assert [one.state for one in stopped] == ["failed", "not run", "not run"]
    assert failures(stopped).startswith("1 of 1 dates failed")


def test_a_date_waits_for_another_run_of_it(night: Night) -> None:
    held, told = threading.Event(), threading.Event()

    def hold() -> None:
        with night.store.date_lock(FIRST, "nightly"):
            held.set()
            told.wait(30)

    def report(doing: str, done: float, of: float) -> None:
        if doing.startswith("waiting: ") and "(nightly)" in doing:
            told.set()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    planned = plan(small(night), FIRST, FIRST)
    (refused,) = run_backfill(small(night), planned, lock_wait=0)
    assert (refused.state, "is locked by" in refused.message) == ("failed", True)
    (done,) = run_backfill(small(night), planned, report=report, lock_wait=60)
    other.join()
    assert (done.state, told.is_set()) == ("published", True)


def test_the_command_shows_the_plan_unless_told_to_run(night: Night) -> None:
    before = files(night.store.root)
    shown = json.loads(called(night, "--json").stdout)
    assert (shown["dry_run"], shown["runs"], shown["warnings"]) == (True, 3, [])
    assert shown["dates"][1] == {"as_of": str(FIRST), "action": "run", "reason": "no release"}
    assert "3 of 3 dates to run; about " in called(night).stdout
    assert files(night.store.root) == before
    refused = called(night, "--mode", "some", code=1)
    assert refused.stderr == "error: unknown mode 'some'; known: missing, failed, all\n"


def test_the_command_ends_with_1_if_a_date_failed_and_the_others_are_there(night: Night) -> None:
    words = ("--run", "--no-prefect", "--model", "popularity", "--set", "top_n.n=4")
    done = called(night, *words, "--json", code=1)
    dates = json.loads(done.stdout)["dates"]
    assert [one["state"] for one in dates] == ["failed", "published", "published"]
    assert "error: 1 of 3 dates failed" in done.stderr
    assert {one["release_id"] for one in dates[1:]} < set(night.published())
    again = called(night, *words, "--start", str(FIRST))
    assert again.stdout.count("skipped") == 2


def artifact(flow_run_id: uuid.UUID) -> Any:
    """Return the one artifact of a flow run itself."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        )
        return next(one for one in found if one.task_run_id is None), client.read_flow_run(flow_run_id)


@pytest.mark.prefect
def test_the_flow_shows_its_plan_first(prefect_server: str, night: Night) -> None:
    from flows.run_backfill import backfill

    before = files(night.store.root)
    state = backfill(
        start=FIRST, end=FOURTH, max_parallel=2, reason="a | b", config=str(night.config), return_state=True
    )
    assert state.is_completed(), state.message
    assert files(night.store.root) == before
    shown, run = artifact(state.state_details.flow_run_id)
    assert (run.name, shown.type, shown.key) == (f"backfill {FIRST}..{FOURTH}", "markdown", "backfill-plan")
    assert f"| {FIRST} | run | no release |" in shown.data
    assert r"**Reason:** a \| b" in shown.data
    assert "2 dates at once share the budget" in shown.data


@pytest.mark.prefect
def test_the_flow_fails_if_a_date_failed_and_its_table_tells_of_all(
    prefect_server: str, night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.run_backfill import backfill

    choice: dict[str, Any] = {"models": ["popularity"], "dry_run": False, "config": str(night.config)}
    state = backfill(start=BEFORE, end=FIRST, **choice, return_state=True)
    assert state.is_failed()
    assert state.message.startswith(f"1 of 2 dates failed\n{BEFORE}: ")
    shown, _ = artifact(state.state_details.flow_run_id)
    rows = json.loads(shown.data)
    assert [(row["date"], row["state"]) for row in rows] == [
        (str(BEFORE), "failed"),
        (str(FIRST), "published"),
    ]
    assert rows[1]["release"] == by_date(night)[str(FIRST)]
    assert rows[1].keys() == {"date", "action", "state", "duration", "rows", "release", "message"}
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.prefect
def test_the_flow_checks_what_a_form_lets_through(
    prefect_server: str, night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.run_backfill import backfill, backfill_with_prefect
    from tasks.runtime.progress import silent

    state = backfill(start=SECOND, end=FIRST, config=str(night.config), return_state=True)
    assert state.is_failed()
    assert state.message == f"expected an end on or after the start {SECOND}, got {FIRST}"
    options: dict[str, Any] = {"models": ["popularity"], "overrides": ["top_n.n=4"]}
    outcomes, failed = backfill_with_prefect(night.config, SECOND, SECOND, silent, **options)
    assert ([one.state for one in outcomes], failed) == (["published"], "")
    (release,) = (one for one in releases(night.store) if one.release_id == outcomes[0].release_id)
    assert release.manifest()["configuration"]["top_n"]["n"] == 4
    assert isinstance(night.records()[-1], RunRecord)
    assert "Traceback" not in capfd.readouterr().err
