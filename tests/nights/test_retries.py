"""What is tried again and what is not; and nights that go on without a model that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, Night, shop, write_logs

from flows.night import retries
from flows.night.retries import ATTEMPTS, directly, tried
from flows.night.run import run_night
from tasks.interactions.source_files import find
from tasks.runtime.errors import InputError, SourceUnreachableError, TrainingError, TrainingKilledError
from tasks.store.files import read_json
from tasks.store.runs import measured_metrics

HUGE = {"mult_vae": {"hidden": 2**40}, "als": {"factors": 8, "iterations": 3}}
"""Mult-VAE wants more memory than any machine has: it fails by itself."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "WAITS", [0.0] * (ATTEMPTS - 1))


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    """Return a station that fails so many times first, and the list of its calls."""
    calls: list[int] = []

    def station() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return "done"

    return station, calls


def test_what_may_pass_is_tried_again_and_every_try_is_told() -> None:
    station, calls = failing(ATTEMPTS - 1, TrainingKilledError("killed"))
    told: list[str] = []
    assert directly("train als", tried("train als", station, told.append)) == "done"
    assert len(calls) == ATTEMPTS
    assert told == [f"train als: attempt {n} of {ATTEMPTS}, after: killed" for n in range(2, ATTEMPTS + 1)]


def test_tries_end_and_are_not_begun_again_by_whoever_runs_the_whole() -> None:
    station, calls = failing(99, TrainingKilledError("killed"))
    with pytest.raises(TrainingKilledError):
        directly("backfill", lambda: directly("train als", station))
    assert len(calls) == ATTEMPTS


@pytest.mark.parametrize("error", [TrainingError("refused"), InputError("no file"), ZeroDivisionError()])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    station, calls = failing(99, error)
    with pytest.raises(type(error)):
        directly("train als", station)
    assert len(calls) == 1


def test_a_refused_connection_may_pass_and_a_missing_file_does_not(night: Night) -> None:
    def found(path: str) -> Any:
        return find(night.configured(source__path=path).source, FIRST)

    with pytest.raises(SourceUnreachableError, match="cannot be read"):
        found("ftp://127.0.0.1:1/logs/a.csv")
    with pytest.raises(InputError, match="no such file") as missing:
        found(str(night.folder / "nothing.csv"))
    assert not isinstance(missing.value, SourceUnreachableError)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_logs(tmp_path_factory.mktemp("logs"), days=1)


@pytest.fixture
def night(logs: Path, tmp_path: Path) -> Night:
    return shop(tmp_path / "shop", logs)


def configured(night: Night, serve: str, **more: Any) -> Any:
    return night.configured(train__models=["mult_vae", "als"], train__serve=serve, models__als=HUGE["als"],
                            models__mult_vae=HUGE["mult_vae"], **more)  # fmt: skip


def test_a_night_goes_on_without_a_model_that_fails_and_tries_it_again_when_resumed(night: Night) -> None:
    ran: list[str] = []

    def step(name: str, station: Callable[[], Any]) -> Any:
        ran.append(name)
        if name == "recommendations" and ran.count(name) == 1:
            raise ZeroDivisionError("a defect")
        return directly(name, station)

    alone = configured(night, "als", train__on_failure="continue", train__refit="all")
    with pytest.raises(ZeroDivisionError):
        run_night(alone, FIRST, step=step)
    record = run_night(alone, FIRST, step=step, resume="yes")
    assert record.release_id == night.pointed()
    assert ran.count("measure mult_vae") == 2
    assert ran.count("measure als") == 1
    assert "train mult_vae" not in ran
    (warning,) = record.warnings
    assert warning.startswith("measure mult_vae failed, the night went on without it: model mult_vae cannot")
    assert "not enough memory" in record.station("measure", "mult_vae").facts["failed"]
    assert {row["model"] for row in measured_metrics(record)} == {"als"}
    manifest = read_json(night.store.release(str(record.release_id)) / "manifest.json")
    assert manifest["warnings"] == [warning]
    assert manifest["devices"] == {"als": "cpu"}


@pytest.mark.parametrize(("serve", "on_failure"), [("als", "stop"), ("mult_vae", "continue")])
def test_without_leave_or_without_the_served_model_nothing_is_published(
    night: Night, serve: str, on_failure: str
) -> None:
    expected = (
        "the served model mult_vae failed, nothing is published" if serve == "mult_vae" else "model mult_vae"
    )
    with pytest.raises(TrainingError, match=expected):
        run_night(configured(night, serve, train__on_failure=on_failure), FIRST)
    assert night.pointed() is None
    assert "not enough memory" in night.records()[-1].message
