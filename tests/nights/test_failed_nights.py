"""Nights that fail: readers keep their release, the record says why, and old runs are removed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import (
    FIRST,
    QUICK,
    SECOND,
    STATIONS,
    THIRD,
    Night,
    failing_at,
    shop,
    unchanged,
)

from flows.night.run import evaluate_only, ingest_only, run_night
from tasks.runtime.errors import InputError, ValidationFailedError
from tasks.store.runs import new_run

FEW: dict[str, Any] = {"train__models": ["popularity"]}


def test_a_closed_gate_stops_before_training_and_readers_keep_yesterday(night: Night) -> None:
    with unchanged(night), pytest.raises(ValidationFailedError, match=r"min_events.*100000|100,000"):
        run_night(night.configured(gate__min_events=100_000, report__enabled=True), THIRD)
    record = night.records()[-1]
    assert record.state == "failed"
    assert "100,000" in record.message
    assert [station.name for station in record.stations] == ["interactions"]
    folder = record.folder(night.store)
    assert (folder.staging / "validation_results.parquet").is_file()
    assert (folder.data_docs / "index.html").is_file()
    assert not folder.models.exists()
    assert night.scratch() == []


@pytest.mark.parametrize("station", ["interactions", "popular_items", "train popularity", "similar_items"])
def test_readers_keep_yesterday_if_a_station_raises_and_the_record_says_why(
    night: Night, station: str
) -> None:
    with unchanged(night), pytest.raises(ZeroDivisionError):
        run_night(night.configured(), THIRD, step=failing_at(station, ZeroDivisionError("a defect")))
    record = night.records()[-1]
    assert (record.state, record.message, record.release_id) == ("failed", "a defect", None)
    assert [finished.name for finished in record.stations] == STATIONS[: STATIONS.index(station)]
    assert night.scratch() == []
    assert run_night(night.configured(**QUICK), THIRD).release_id == night.pointed()


def test_a_library_cannot_end_the_night_silently(night: Night) -> None:
    def ending(name: str, work: Any) -> Any:
        guard, (store, _) = work.func, work.args  # the station is replaced inside its guard
        return guard(store, lambda: sys.exit(0)) if name == "dataset" else work()

    with unchanged(night), pytest.raises(RuntimeError, match="ended the program with exit code 0"):
        run_night(night.configured(), THIRD, step=ending)
    assert night.records()[-1].state == "failed"


def test_ctrl_c_is_recorded_and_releases_the_store(night: Night) -> None:
    with unchanged(night), pytest.raises(KeyboardInterrupt):
        run_night(night.configured(), THIRD, step=failing_at("dataset", KeyboardInterrupt()))
    assert night.records()[-1].state == "interrupted"
    with night.store.lock("afterwards"):
        assert night.scratch() == []


def test_the_last_runs_are_kept_whatever_their_outcome(night: Night) -> None:
    dead = new_run(night.store, FIRST)  # a process died and left the state `running` and its engine's scratch
    leftover = night.store.runs / ".engine-0badcafe"
    (leftover / "spill").mkdir(parents=True)
    evaluate_only(night.configured(store__keep_runs=3, **FEW), SECOND)
    states = {record.run_id: record.state for record in night.records()}
    assert len(states) == 3
    assert states[dead.run_id] == "interrupted"
    assert list(states.values())[-1] == "measured"
    assert night.scratch() == []
    with pytest.raises(ValidationFailedError):
        run_night(night.configured(store__keep_runs=1, gate__min_events=100_000), SECOND)
    assert [record.state for record in night.records()] == ["failed"]
    assert not list(night.store.runs.glob(f"{FIRST}"))  # nor an empty folder of a date


def test_a_damaged_record_of_an_old_run_stops_nothing(night: Night) -> None:
    old = night.store.runs / str(FIRST) / "20000101T000000Z"
    old.mkdir()
    (old / "run.json").write_text("{")
    ingest_only(night.configured(), THIRD)
    evaluate_only(night.configured(store__keep_runs=1, **FEW), THIRD)
    assert not old.exists()


def test_a_changed_file_is_refused_unless_replacement_is_requested(night: Night, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(night.logs, logs)
    moved = shop(tmp_path / "moved", logs)
    assert ingest_only(moved.configured(), SECOND).ingested == 2
    changed = logs / f"events-{SECOND}.csv"
    lines = changed.read_text(encoding="utf-8").splitlines(keepends=True)
    changed.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match="changed since it was ingested"):
        ingest_only(moved.configured(), SECOND)
    assert ingest_only(moved.configured(), SECOND, replace_changed=True).counts.read > 0
