"""Simultaneous runs: one per date, one writer, and no run loses its files."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import (
    FIRST,
    QUICK,
    SECOND,
    THIRD,
    Night,
    unchanged,
)

from flows.night.run import evaluate_only, ingest_only, run_night
from tasks.runtime.errors import StoreLockedError
from tasks.store.runs import new_run

FEW: dict[str, Any] = {"train__models": ["popularity"]}


def test_a_second_run_for_a_date_is_refused_and_names_the_first(night: Night) -> None:
    with unchanged(night), night.store.date_lock(THIRD, "run for that day"):
        for second in (run_night, evaluate_only):
            expected = rf"the date {THIRD} of the store .* is locked by pid {os.getpid()} .*run for that day"
            with pytest.raises(StoreLockedError, match=expected):
                second(night.configured(), THIRD)
    assert len(night.records()) == 2


def test_a_night_waits_for_another_writer_and_names_it(night: Night) -> None:
    waits: list[str] = []
    held = ExitStack()
    held.enter_context(night.store.lock("taking in a long log"))

    def report(doing: str, done: float, of: float) -> None:
        if doing.startswith("waiting: "):
            waits.append(doing)
            held.close()

    assert run_night(night.configured(**QUICK), THIRD, report=report).state == "published"
    assert len(waits) == 1
    assert f"pid {os.getpid()} on " in waits[0]
    assert "(taking in a long log)" in waits[0]


def test_a_night_does_not_see_later_ingests_of_another(night: Night, tmp_path: Path) -> None:
    alone, ran = night.copy(tmp_path / "alone"), run_night(night.configured(**QUICK), SECOND)
    expected = night.hashes(str(ran.release_id))

    def meanwhile(name: str, station: Any) -> Any:
        if name == "validation_results":
            assert ingest_only(alone.configured(), THIRD + timedelta(days=1)).ingested == 2
        return station()

    record = run_night(alone.configured(**QUICK), SECOND, step=meanwhile)
    assert alone.hashes(str(record.release_id)) == expected


def test_files_in_use_by_a_run_are_not_replaced(night: Night) -> None:
    with night.store.date_lock(SECOND, "run for the second"):
        with pytest.raises(StoreLockedError, match=rf"in use by runs for {SECOND} by pid {os.getpid()} "):
            ingest_only(night.configured(), THIRD, rebuild=True)
        assert ingest_only(night.configured(), THIRD).ingested == 1
    assert ingest_only(night.configured(), THIRD, rebuild=True).ingested == 3


def test_active_runs_are_neither_marked_interrupted_nor_removed(night: Night) -> None:
    alive = new_run(night.store, FIRST)
    scratch = alive.folder(night.store).root / ".engine-0badcafe"
    scratch.mkdir()
    with night.store.date_lock(FIRST, "run for the first"):
        evaluate_only(night.configured(store__keep_runs=1, **FEW), THIRD)
        assert scratch.is_dir()
        assert alive.run_id in {record.run_id for record in night.records() if record.state == "running"}
    evaluate_only(night.configured(store__keep_runs=1, **FEW), THIRD)
    assert not scratch.exists()
