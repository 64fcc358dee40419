"""What is retried and what is not; nights that continue without a failed model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, Night, shop, write_logs

from flows.night import retries
from flows.night.retries import ATTEMPTS, log_retries, run_directly
from flows.night.run import run_night
from tasks.runtime.errors import InputError, SourceUnreachableError, TrainingError, TrainingKilledError
from tasks.sources.discovery import discover
from tasks.store.files import read_json
from tasks.store.runs import measured_metrics

DIVERGING = {"hidden": 8, "latent": 4, "learning_rate": 1e30}
"""Mult-VAE needs more memory than any machine has, so it fails."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "WAITS", [0.0] * (ATTEMPTS - 1))


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    """Return a station that first fails `times` times, and the list of its calls."""
    calls: list[int] = []

    def station() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return "done"

    return station, calls


def test_temporary_failures_are_retried_and_each_retry_is_reported() -> None:
    station, calls = failing(ATTEMPTS - 1, TrainingKilledError("killed"))
    warnings: list[str] = []
    assert run_directly("train als", log_retries("train als", station, warnings.append)) == "done"
    assert len(calls) == ATTEMPTS
    assert warnings == [
        f"train als: attempt {n} of {ATTEMPTS}, after: killed" for n in range(2, ATTEMPTS + 1)
    ]


def test_retries_end_and_an_enclosing_step_does_not_repeat_them() -> None:
    station, calls = failing(99, TrainingKilledError("killed"))
    with pytest.raises(TrainingKilledError):
        run_directly("backfill", lambda: run_directly("train als", station))
    assert len(calls) == ATTEMPTS


@pytest.mark.parametrize("error", [TrainingError("refused"), InputError("no file"), ZeroDivisionError()])
def test_permanent_failures_are_not_retried(error: Exception) -> None:
    station, calls = failing(99, error)
    with pytest.raises(type(error)):
        run_directly("train als", station)
    assert len(calls) == 1


def test_a_refused_connection_is_temporary_and_a_missing_file_is_not(night: Night) -> None:
    def find(path: str) -> Any:
        return discover(night.configured(source__path=path).sources[0], FIRST).files

    with pytest.raises(SourceUnreachableError, match="cannot be read"):
        find("ftp://127.0.0.1:1/logs/a.csv")
    with pytest.raises(InputError, match="no such file") as missing:
        find(str(night.folder / "nothing.csv"))
    assert not isinstance(missing.value, SourceUnreachableError)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_logs(tmp_path_factory.mktemp("logs"), days=1)


@pytest.fixture
def night(logs: Path, tmp_path: Path) -> Night:
    return shop(tmp_path / "shop", logs)


def configured(night: Night, serve: str, **more: Any) -> Any:
    return night.configured(
        train__models=["mult_vae", "als"],
        train__serve=serve,
        models__als={"factors": 8, "iterations": 3},
        models__mult_vae=DIVERGING,
        **more,
    )


def test_a_night_continues_without_a_failed_model_and_retries_it_when_resumed(night: Night) -> None:
    ran: list[str] = []

    def step(name: str, station: Callable[[], Any]) -> Any:
        ran.append(name)
        if name == "recommendations" and ran.count(name) == 1:
            raise ZeroDivisionError("a defect")
        return run_directly(name, station)

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
    assert "expected a finite loss" in record.station("measure", "mult_vae").facts["failed"]
    assert {row["model"] for row in measured_metrics(record)} == {"als"}
    manifest = read_json(night.store.release(str(record.release_id)) / "manifest.json")
    assert manifest["warnings"] == [warning]
    assert manifest["devices"] == {"als": "cpu"}


@pytest.mark.parametrize(("serve", "on_failure"), [("als", "stop"), ("mult_vae", "continue")])
def test_nothing_is_published_if_failures_stop_or_the_served_model_fails(
    night: Night, serve: str, on_failure: str
) -> None:
    expected = (
        "the served model mult_vae failed, nothing is published" if serve == "mult_vae" else "model mult_vae"
    )
    with pytest.raises(TrainingError, match=expected):
        run_night(configured(night, serve, train__on_failure=on_failure), FIRST)
    assert night.pointed() is None
    assert "expected a finite loss" in night.records()[-1].message


def test_a_model_beyond_the_minutes_is_left_out_with_a_warning(night: Night) -> None:
    few = {"train__models": ["mult_vae", "popularity"], "train__serve": "best", "train__minutes": 0.001}
    record = run_night(night.configured(**few), FIRST)
    assert record.release_id == night.pointed()
    (warning,) = record.warnings
    assert warning.startswith("mult_vae is left out: it would take about 0.")
    assert warning.endswith("left of the 0.001 of [train] minutes")
    assert set(record.failed_models) == {"mult_vae"}
    assert {row["model"] for row in measured_metrics(record)} == {"popularity"}
    assert record.station("served_model").facts["model"] == "popularity"
