"""The dates of a backfill: each waits, runs and fails on its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from worlds.backfill_world import BEFORE, FOURTH, by_date, failing_for, small
from worlds.night_world import FIRST, SECOND, THIRD, Night
from worlds.training_world import trainings

from flows.backfill.dates import failures, run_backfill
from flows.backfill.plan import plan
from flows.night import lifecycle
from flows.night.retries import run_directly
from tasks.runtime.errors import InputError
from tasks.training.train import one_child


@pytest.mark.parametrize("failure", [ZeroDivisionError("a defect"), InputError("a mistake")])
def test_a_backfill_with_a_fault_once_repeated_equals_a_clean_one(
    night: Night, tmp_path: Path, failure: Exception
) -> None:
    clean = night.copy(tmp_path / "clean")
    run_backfill(small(clean), plan(small(clean), FIRST, FOURTH, newest_first=True))
    first = run_backfill(
        small(night),
        plan(small(night), FIRST, FOURTH),
        date_step=failing_for(SECOND, failure),
        step=run_directly,
    )
    assert [outcome.state for outcome in first] == ["published", "failed", "skipped", "published"]
    assert failures(first).startswith(f"1 of 3 dates failed\n{SECOND}: ")
    assert str(failure) in failures(first)
    assert plan(small(night), SECOND, SECOND, "failed")[0].action == "run"
    second = run_backfill(small(night), plan(small(night), FIRST, FOURTH))
    assert [outcome.action for outcome in second] == ["skip", "run", "skip", "skip"]
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
    assert night.published() == sorted([str(pointed), *(str(outcome.release_id) for outcome in outcomes)])
    assert len(night.published()) == 3 > small(night).store.keep_releases
    assert [outcome.rows for outcome in outcomes] == [
        record.station("recommendations").rows for record in night.records() if record.as_of != THIRD
    ]
    assert all(outcome.seconds and outcome.seconds > 0 for outcome in outcomes)


def test_a_failed_date_stops_the_others_only_if_asked(night: Night) -> None:
    stopped = run_backfill(
        small(night), plan(small(night), BEFORE, SECOND), continue_on_error=False, lock_wait=0
    )
    assert [outcome.state for outcome in stopped] == ["failed", "not run", "not run"]
    assert failures(stopped).startswith("1 of 1 dates failed")


def test_a_date_waits_for_another_run_of_it(night: Night) -> None:
    held, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        with night.store.date_lock(FIRST, "nightly"):
            held.set()
            waiting.wait(30)

    def report(doing: str, done: float, of: float) -> None:
        if doing.startswith("waiting: ") and "(nightly)" in doing:
            waiting.set()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    planned = plan(small(night), FIRST, FIRST)
    (refused,) = run_backfill(small(night), planned, lock_wait=0)
    assert (refused.state, "is locked by" in refused.message) == ("failed", True)
    (outcome,) = run_backfill(small(night), planned, report=report, lock_wait=60)
    holder.join()
    assert (outcome.state, waiting.is_set()) == ("published", True)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_date_that_was_published_since_the_plan_is_not_run_again_unless_all_were_asked_for(
    night: Night, at_once: int
) -> None:
    planned = plan(small(night), FIRST, SECOND)
    (first,) = run_backfill(small(night), plan(small(night), FIRST, FIRST))  # as a night beside it would
    before = night.published()
    outcomes = run_backfill(small(night), planned, max_parallel=at_once)
    assert [(outcome.state, outcome.action) for outcome in outcomes] == [
        ("skipped", "skip"),
        ("published", "run"),
    ]
    assert outcomes[0].release_id == first.release_id
    assert outcomes[0].message == f"published meanwhile as {first.release_id}"
    assert failures(outcomes) == ""
    assert [name for name in night.published() if name not in before] == [outcomes[1].release_id]
    assert {record.as_of for record in night.records()} <= {FIRST, SECOND, THIRD}
    if at_once == 1:
        again = run_backfill(small(night), planned, mode="all")
        assert [outcome.state for outcome in again] == ["published", "published"]


def test_the_dates_of_one_process_share_a_training_child_that_ends_with_the_backfill(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "one_child", one_child)  # not the child that this file's nights share
    others, seen = trainings(), list[list[psutil.Process]]()

    def around(name: str, work: Callable[[], Any]) -> Any:
        result = work()
        seen.append([child for child in trainings() if child not in others])
        return result

    outcomes = run_backfill(small(night), plan(small(night), FIRST, SECOND), date_step=around)
    assert [outcome.state for outcome in outcomes] == ["published", "published"]
    assert (len(seen), len(seen[0])) == (2, 1)
    assert seen[0] == seen[1]
    assert trainings() == others
