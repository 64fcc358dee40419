"""Nights killed at every station and resumed: the same bytes, nothing finished done again, clear refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from worlds import killed_nights
from worlds.night_world import FIRST, QUICK, SECOND, STATIONS, THIRD, Night, failing_at, shop, write_logs
from worlds.paths import IMPORTABLE

from flows.night.resume import ResumeError
from flows.night.retries import directly
from flows.night.run import evaluate_only, ingest_only, run_night
from tasks.store.run_folder import record_paths
from tasks.store.runs import RunRecord

MODULES = ["great_expectations", "models.ranking.topn", "tasks.validation.suite"]
MODULES += [
    "tasks.recommendations.recommendations",
    "tasks.recommendations.similar_items",
    "tasks.release.publish",
    "tasks.evaluation.model_metrics",
]
VAE = {"epochs": 120, "patience": 120, "hidden": 8, "latent": 4, "checkpoint_seconds": 0.0}
SHORT = STATIONS[: STATIONS.index("holdout")]
SHORT += ["train popularity", "recommendations", "similar_items", "release"]
DEEP = {
    "train.models": ["mult_vae"],
    "train.serve": "mult_vae",
    "evaluation.enabled": False,
    "models.mult_vae": VAE,
}


@dataclass(frozen=True)
class Kill:
    """Where a night is killed: before or after a station's work, at a report, or at a call of the system."""

    station: str
    how: str
    what: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.station, self.how, self.what.strip("/."))))


KILLS = [
    Kill("interactions", "before"),
    Kill("interactions", "os.rename", "/ingests/"),  # Parquet files are in place, none of them named
    Kill("interactions", "after"),  # the ingest is committed, the record does not know
    Kill("validation_results", "after"),
    Kill("dataset", "shutil.rmtree", "/dataset/sequences"),  # users, items and entries are written
    Kill("popular_items", "os.rename", "/popular_items.parquet"),
    Kill("holdout", "shutil.rmtree", "/past/entries"),
    Kill("measure popularity", "os.rename", "popularity.trained.json"),
    Kill("measure recent_popularity", "after"),
    Kill("train popularity", "subprocess.Popen", "tasks.training.child"),
    Kill("recommendations", "os.rename", "/recommendations.parquet"),
    Kill("similar_items", "before"),
    Kill("quality", "after"),
    Kill("release", "os.rename", "/manifest.json"),  # beside it lies the database
    Kill("release", "os.rename", "/releases/"),  # audited, flushed and read-only
    Kill("release", "open", ".current.json."),  # renamed, but readers are not led to it
    Kill("release", "after"),
]

MORE = (KILLS[0], KILLS[2], KILLS[13], KILLS[-1])
"""Moments of stations that are killed elsewhere already: for `make torture`."""


def kill(nights: dict[Kill, Night], overrides: dict[str, Any], modules: list[str]) -> None:
    """Run nights, each in a process of its own that is killed where it says."""
    days = [
        [str(night.config), str(SECOND), overrides, at.station, at.how, at.what]
        for at, night in nights.items()
    ]
    command = [sys.executable, str(Path(killed_nights.__file__)), json.dumps(modules), json.dumps(days)]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended = dict(zip(map(str, nights), json.loads(done.stdout), strict=True))
    assert set(ended.values()) == {-signal.SIGKILL}, f"{ended} {done.stderr}"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a store after the night of the first day."""
    folder = tmp_path_factory.mktemp("first")
    night = shop(folder, write_logs(folder / "logs", days=3))
    run_night(night.configured(), FIRST)
    return night


@pytest.fixture(scope="module")
def undisturbed(first: Night, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return that store after the night of the second day."""
    night = first.copy(tmp_path_factory.mktemp("undisturbed"))
    run_night(night.configured(), SECOND)
    return night


@pytest.fixture(scope="module")
def killed(
    request: pytest.FixtureRequest, first: Night, tmp_path_factory: pytest.TempPathFactory
) -> dict[Kill, Night]:
    """Return copies of that store, each after a night that was killed where a test is about to ask."""
    asked = [item.callspec.params.get("at") for item in request.session.items if hasattr(item, "callspec")]
    nights = {at: first.copy(tmp_path_factory.mktemp("killed")) for at in KILLS if at in asked}
    kill(nights, {}, MODULES)
    return nights


@pytest.fixture
def night(first: Night, tmp_path: Path) -> Night:
    return first.copy(tmp_path / "shop")


@pytest.fixture
def stopped(night: Night) -> Night:
    """Return a store whose second night failed after the dataset."""
    fail(night, "popular_items", **QUICK)
    return night


def fail(night: Night, station: str, **overrides: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        run_night(
            night.configured(**overrides), SECOND, step=failing_at(station, ZeroDivisionError("a defect"))
        )


def resume(night: Night, **overrides: Any) -> tuple[RunRecord, list[str]]:
    """Resume the second night; return its record and the stations that were run."""
    ran: list[str] = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        ran.append(name)
        return directly(name, work)

    return run_night(night.configured(**overrides), SECOND, step=step, resume="yes"), ran


def facts(record: RunRecord) -> dict[str, Any]:
    """Return what the stations found out, without where and how long."""
    personal = {"data_docs", "seconds", "checks"}
    return {
        one.name: (one.rows, {key: value for key, value in one.facts.items() if key not in personal})
        for one in record.stations
    }


@pytest.mark.parametrize(
    "at", [pytest.param(at, marks=[pytest.mark.torture] if at in MORE else [], id=str(at)) for at in KILLS]
)
def test_a_killed_night_goes_on_and_ends_as_if_nothing_had_been(
    undisturbed: Night, killed: dict[Kill, Night], at: Kill
) -> None:
    night, wanted = killed[at], undisturbed.records()[-1]
    dead = night.records()[-1]
    assert (dead.state, [one.name for one in dead.stations]) == (
        "running",
        STATIONS[: STATIONS.index(at.station)],
    )
    record, ran = resume(night)
    assert ran == STATIONS[STATIONS.index(at.station) :]
    assert night.hashes(str(record.release_id)) == undisturbed.hashes(str(wanted.release_id))
    assert night.pointed() == record.release_id == f"{SECOND}-{dead.run_id}"
    assert facts(record) == facts(wanted)
    assert (record.state, record.warnings, len(record.resumed_at)) == ("published", [], 1)
    assert len(night.records()) == 2
    assert night.scratch() == []
    assert len(night.published()) == 2


def test_every_station_is_killed_once() -> None:
    assert {at.station for at in KILLS if at not in MORE} == set(STATIONS)


def test_a_night_killed_again_and_again_comes_to_its_end(undisturbed: Night, night: Night) -> None:
    fail(night, "dataset")
    for station in ("dataset", "measure popularity", "release"):
        with pytest.raises(ZeroDivisionError):
            run_night(night.configured(), SECOND, step=failing_at(station, ZeroDivisionError()), resume="yes")
    record, ran = resume(night)
    assert ran == ["release"]
    assert len(record.resumed_at) == 4
    assert night.hashes(str(record.release_id)) == undisturbed.hashes(str(undisturbed.pointed()))


def test_a_killed_training_goes_on_from_its_checkpoint(night: Night, tmp_path: Path) -> None:
    whole = night.copy(tmp_path / "whole")
    deep = {key.replace(".", "__"): value for key, value in DEEP.items()}
    expected = run_night(whole.configured(**deep), SECOND)
    kill({Kill("train mult_vae", "report", "mult_vae 4"): night}, DEEP, [])
    epochs: list[float] = []

    def report(doing: str, done: float, of: float) -> None:
        if doing.startswith("mult_vae"):
            epochs.append(done)

    record = run_night(night.configured(**deep), SECOND, report=report, resume="yes")
    assert epochs[0] >= 4
    assert epochs[-1] == VAE["epochs"]
    assert night.hashes(str(record.release_id)) == whole.hashes(str(expected.release_id))


def test_a_run_that_goes_on_takes_in_again_what_it_was_started_to(night: Night) -> None:
    with pytest.raises(ZeroDivisionError):
        run_night(
            night.configured(**QUICK),
            SECOND,
            rebuild=True,
            step=failing_at("interactions", ZeroDivisionError()),
        )
    record, _ = resume(night, **QUICK)
    taken = record.station("interactions").facts
    assert (taken["files_taken"], taken["arrived"]) == (2, taken["total"])


def test_without_a_run_to_resume_it_says_so_and_changes_nothing(night: Night, stopped: Night) -> None:
    with pytest.raises(ResumeError, match=f"no run for {THIRD} to resume"):
        run_night(night.configured(), THIRD, resume="yes")
    with pytest.raises(ResumeError, match=rf"last run for {FIRST} .* published .*nothing to resume"):
        run_night(night.configured(), FIRST, resume="yes")
    assert [record.state for record in night.records()] == ["published", "failed"]


def test_an_evaluation_is_no_night_to_resume(stopped: Night) -> None:
    evaluate_only(stopped.configured(train__models=["popularity"], train__serve="popularity"), SECOND)
    assert resume(stopped, **QUICK)[1] == SHORT[SHORT.index("popular_items") :]


def test_another_configuration_is_refused_but_another_store_section_is_not(stopped: Night) -> None:
    with pytest.raises(ResumeError, match="configuration changed since the last run for"):
        resume(stopped, **QUICK, top_n__n=5)
    with pytest.raises(ResumeError, match="started without --rebuild"):
        run_night(stopped.configured(**QUICK), SECOND, resume="yes", rebuild=True)
    assert stopped.records()[-1].state == "failed"
    assert resume(stopped, **QUICK, store__keep_runs=5)[0].state == "published"


def test_a_record_older_than_the_fingerprint_loads_and_is_refused(stopped: Night) -> None:
    path = record_paths(stopped.store, SECOND)[-1]
    new = {"purpose", "configuration", "replace_changed", "rebuild", "ingests_before", "resumed_at"}
    new |= {"seal", "sealed_by"}
    old = {key: value for key, value in json.loads(path.read_text()).items() if key not in new}
    path.write_text(json.dumps(old))
    with pytest.raises(ResumeError, match="did not record its configuration"):
        resume(stopped, **QUICK)
    path.write_text("{}")
    with pytest.raises(Exception, match="expected the record of a run in"):
        resume(stopped, **QUICK)


def test_a_run_of_0_1_goes_on(night: Night) -> None:
    fail(night, "recommendations", **QUICK)
    path = record_paths(night.store, SECOND)[-1]
    record = json.loads(path.read_text(encoding="utf-8"))
    for station in record["stations"]:  # one name for both, as 0.1 had it
        kind, model = station.pop("kind"), station.pop("model")
        station["name"] = f"{kind} {model}" if model else kind
    newer = {"compared_with", "seal", "sealed_by"}
    old = {key: value for key, value in record.items() if key not in newer}
    path.write_text(json.dumps(old), encoding="utf-8")
    resumed, ran = resume(night, **QUICK)
    assert ran == SHORT[SHORT.index("recommendations") :]
    assert [station.name for station in resumed.stations] == SHORT
    assert resumed.state == "published"


def test_a_new_ingest_takes_the_run_back_to_the_interactions(
    stopped: Night, undisturbed: Night, caplog: pytest.LogCaptureFixture
) -> None:
    ingest_only(stopped.configured(), THIRD)
    record, ran = resume(stopped, **QUICK)
    assert ran == SHORT
    assert record.warnings == [
        "resumed from the station interactions: "
        "ingest 000003 was committed after the run's own last one, 000002"
    ]
    assert record.warnings[0] in caplog.text
    wanted = undisturbed.records()[-1].station("interactions").facts
    assert record.station("interactions").facts["arrived"] == wanted["arrived"]


def test_what_was_swept_away_meanwhile_is_made_again(undisturbed: Night, night: Night) -> None:
    fail(night, "similar_items")
    shutil.rmtree(night.records()[-1].folder(night.store).staging)
    record, ran = resume(night)
    assert ran == STATIONS[1:]
    assert "resumed after interactions: the output of validation_results" in record.warnings[0]
    assert night.hashes(str(record.release_id)) == undisturbed.hashes(str(undisturbed.pointed()))


def test_a_retry_starts_anew_where_there_is_nothing_to_continue(night: Night) -> None:
    record = run_night(night.configured(**QUICK), SECOND, resume="where possible")
    assert (record.state, record.resumed_at) == ("published", [])
