"""Nights killed at every station and resumed: the same bytes, and no finished work repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from worlds import killed_nights
from worlds.night_world import SECOND, STATIONS, Night, failing_at
from worlds.paths import IMPORTABLE
from worlds.resumed_nights import fail, resume

from flows.night.run import run_night
from tasks.store.runs import RunRecord

MODULES = ["great_expectations", "models.ranking.topn", "tasks.validation.suite"]
MODULES += [
    "tasks.recommendations.recommendations",
    "tasks.recommendations.similar_items",
    "tasks.release.publish",
    "tasks.evaluation.model_metrics",
    "models.evaluation.metrics_kernel",
    "models.evaluation.bootstrap_kernel",
    "models.ranking.topn_kernel",
]
VAE = {"epochs": 40, "patience": 40, "hidden": 8, "latent": 4, "checkpoint_seconds": 0.0}
DEEP = {
    "train.models": ["mult_vae"],
    "train.serve": "mult_vae",
    "evaluation.enabled": False,
    "models.mult_vae": VAE,
}


@dataclass(frozen=True)
class Kill:
    """Where a night is killed: before or after a station's work, at a report or a system call."""

    station: str
    how: str
    what: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.station, self.how, self.what.strip("/."))))


KILLS = [
    Kill("interactions", "before"),
    Kill("interactions", "os.rename", "/ingests/"),  # Parquet files exist, but no manifest names them
    Kill("interactions", "after"),  # the ingest is committed, but not recorded
    Kill("validation_results", "after"),
    Kill("dataset", "shutil.rmtree", "/dataset/sequences"),  # users, items and entries are written
    Kill("release_scores", "os.rename", "/release_scores.parquet"),
    Kill("popular_items", "os.rename", "/popular_items.parquet"),
    Kill("holdout", "shutil.rmtree", "/past/entries"),
    Kill("measure popularity", "os.rename", "popularity.trained.json"),
    Kill("measure recent_popularity", "after"),
    Kill("train popularity", "open", "popularity.log"),  # its child is about to be asked
    Kill("recommendations", "os.rename", "/recommendations.parquet"),
    Kill("similar_items", "before"),
    Kill("quality", "after"),
    Kill("release", "os.rename", "/manifest.json"),  # the database lies beside it
    Kill("release", "os.rename", "/releases/"),  # audited, flushed and read-only
    Kill("release", "open", ".current.json."),  # renamed, but the pointer has not moved
    Kill("release", "after"),
]
MORE = (KILLS[0], KILLS[2], KILLS[14], KILLS[-1])
"""More kill points of stations already covered, for `make torture`."""


def kill(nights: dict[Kill, Night], overrides: dict[str, Any], modules: list[str]) -> None:
    """Run nights, each in a process that is killed at the given point."""
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
def killed(
    request: pytest.FixtureRequest, first_night: Night, tmp_path_factory: pytest.TempPathFactory
) -> dict[Kill, Night]:
    """Return copies of the store, each after a night killed at a point that a test needs."""
    asked = [item.callspec.params.get("at") for item in request.session.items if hasattr(item, "callspec")]
    nights = {at: first_night.copy(tmp_path_factory.mktemp("killed")) for at in KILLS if at in asked}
    kill(nights, {}, MODULES)
    return nights


def facts(record: RunRecord) -> dict[str, Any]:
    """Return the facts of the stations, without paths and durations."""
    personal = {"data_docs", "seconds", "checks"}
    return {
        station.name: (
            station.rows,
            {key: value for key, value in station.facts.items() if key not in personal},
        )
        for station in record.stations
    }


@pytest.mark.parametrize(
    "at", [pytest.param(at, marks=[pytest.mark.torture] if at in MORE else [], id=str(at)) for at in KILLS]
)
def test_a_resumed_night_equals_an_undisturbed_one(
    nights: Night, killed: dict[Kill, Night], at: Kill
) -> None:
    night, wanted = killed[at], nights.records()[-1]
    dead = night.records()[-1]
    assert (dead.state, [station.name for station in dead.stations]) == (
        "running",
        STATIONS[: STATIONS.index(at.station)],
    )
    record, ran = resume(night)
    assert ran == STATIONS[STATIONS.index(at.station) :]
    assert night.hashes(str(record.release_id)) == nights.hashes(str(wanted.release_id))
    assert night.pointed() == record.release_id == f"{SECOND}-{dead.run_id}"
    assert facts(record) == facts(wanted)
    assert (record.state, record.warnings, len(record.resumed_at)) == ("published", [], 1)
    assert len(night.records()) == 2
    assert night.scratch() == []
    assert len(night.published()) == 2


def test_every_station_is_killed_once() -> None:
    assert {at.station for at in KILLS if at not in MORE} == set(STATIONS)


def test_a_night_killed_repeatedly_finishes(nights: Night, young: Night) -> None:
    fail(young, "dataset")
    for station in ("dataset", "measure popularity", "release"):
        with pytest.raises(ZeroDivisionError):
            run_night(young.configured(), SECOND, step=failing_at(station, ZeroDivisionError()), resume="yes")
    record, ran = resume(young)
    assert ran == ["release"]
    assert len(record.resumed_at) == 4
    assert young.hashes(str(record.release_id)) == nights.hashes(str(nights.pointed()))


def test_a_killed_training_continues_from_its_checkpoint(young: Night, tmp_path: Path) -> None:
    whole = young.copy(tmp_path / "whole")
    deep = {key.replace(".", "__"): value for key, value in DEEP.items()}
    expected = run_night(whole.configured(**deep), SECOND)
    kill({Kill("train mult_vae", "report", "mult_vae 4"): young}, DEEP, [])
    epochs: list[float] = []

    def report(doing: str, done: float, of: float) -> None:
        if doing.startswith("mult_vae"):
            epochs.append(done)

    record = run_night(young.configured(**deep), SECOND, report=report, resume="yes")
    assert epochs[0] >= 4
    assert epochs[-1] == VAE["epochs"]
    assert young.hashes(str(record.release_id)) == whole.hashes(str(expected.release_id))
