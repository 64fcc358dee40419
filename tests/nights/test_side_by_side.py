"""Parallel nights: dates of one backfill with faults, and many runs of one date."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from worlds.night_world import FIRST, QUICK, SECOND, Night, shop, write_logs
from worlds.paths import IMPORTABLE, WORLDS

import flows.backfill.one_date
from flows.backfill.dates import Outcome, run_backfill
from flows.backfill.plan import plan
from tasks.configuration.configuration import Configuration


def quick(night: Night) -> Configuration:
    """Return a configuration for nights that train little and measure nothing."""
    return night.configured(engine__threads=2, **QUICK)


def tables(night: Night, release_id: str) -> dict[str, str]:
    """Return the hashes of the tables that do not judge what was active before: dates may overtake."""
    return {name: value for name, value in night.hashes(release_id).items() if name != "release_scores"}


def repeated(night: Night, last: date) -> list[list[Outcome]]:
    """Repeat the backfill, two dates at once, until nothing remains; return the attempts."""
    attempts = []
    while any(date_planned.action == "run" for date_planned in plan(quick(night), FIRST, last)):
        attempts.append(run_backfill(quick(night), plan(quick(night), FIRST, last), max_parallel=2))
        assert len(attempts) < 20
    return attempts


@pytest.mark.parametrize("days", [4, pytest.param(30, marks=pytest.mark.torture)])
def test_a_parallel_backfill_with_faults_ends_equal_to_a_clean_one(
    days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, last = write_logs(tmp_path / "logs", days=days), FIRST + timedelta(days=days - 1)
    clean, night = shop(tmp_path / "clean", logs), shop(tmp_path / "shop", logs)
    outcomes = run_backfill(quick(clean), plan(quick(clean), FIRST, last))
    assert {outcome.state for outcome in outcomes} == {"published"}
    faults = tmp_path / "faults"
    faults.mkdir()
    monkeypatch.setenv("FAULTS", str(faults))
    faulty = (sys.executable, "-P", str(WORLDS / "faulty_date.py"))
    monkeypatch.setattr(flows.backfill.one_date, "COMMAND", faulty)
    attempts = repeated(night, last)
    failed = [outcome for attempt in attempts for outcome in attempt if outcome.state == "failed"]
    messages = [f"{outcome.as_of}: {outcome.message}" for outcome in failed]
    assert len(messages) == len(list(faults.iterdir())) > days / 4, "\n".join(messages)
    assert {"killed by signal" in message for message in messages} == {True, False}
    ours, theirs = ({name[:10]: name for name in each_night.published()} for each_night in (night, clean))
    assert ours.keys() == theirs.keys()
    for day, release_id in ours.items():
        assert tables(night, release_id) == tables(clean, theirs[day]), day
    assert str(night.pointed()).startswith(str(last))
    assert night.scratch() == []
    assert night.store.running_dates() == {}


def test_parallel_dates_share_memory_and_threads_and_give_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = (sys.executable, "-P", str(WORLDS / "forgetful_date.py"))  # others remove old runs
    monkeypatch.setattr(flows.backfill.one_date, "COMMAND", forgetful)
    logs = write_logs(tmp_path / "logs", days=3)
    night, alone = shop(tmp_path / "shop", logs), shop(tmp_path / "alone", logs)
    reported: list[str] = []
    outcomes = run_backfill(
        quick(night),
        plan(quick(night), FIRST, SECOND, newest_first=True),
        max_parallel=2,
        report=lambda doing, done, of: reported.append(doing),
    )
    assert [(outcome.as_of, outcome.state, outcome.message) for outcome in outcomes] == [
        (SECOND, "published", ""),
        (FIRST, "published", ""),
    ]
    assert night.records() == []
    assert {f"backfill {FIRST}", f"backfill {SECOND}", "dataset"} <= set(reported)
    release = night.store.release(str(night.pointed()))
    engine = json.loads((release / "manifest.json").read_text())["configuration"]["engine"]
    assert (engine["memory"], engine["threads"]) == ("512MiB", 1)
    with duckdb.connect() as con:
        users = con.sql(f"SELECT count(*), count(DISTINCT user_id) FROM '{release}/recommendations.parquet'")
        rows, people = users.fetchall()[0]
    assert rows == 6 * people > 0
    run_backfill(quick(alone), plan(quick(alone), FIRST, SECOND))
    assert tables(night, release.name) == tables(alone, str(alone.pointed()))


@pytest.mark.parametrize(
    ("processes", "rounds"),
    [
        (8, ["whole", "killed", "whole"]),
        pytest.param(8, ["whole"] * 10 + ["killed", "whole"] * 5, marks=pytest.mark.torture),
    ],
)
def test_of_many_runs_of_a_date_one_publishes_and_the_rest_name_it(
    processes: int, rounds: list[str], tmp_path: Path
) -> None:
    night = shop(tmp_path / "shop", write_logs(tmp_path / "logs", days=1))
    overrides = {key.replace("__", "."): value for key, value in QUICK.items()} | {"store.keep_releases": 50}
    command = [sys.executable, str(WORLDS / "many_runs.py"), str(night.config)]
    command += [str(FIRST), json.dumps(rounds), str(processes), json.dumps(overrides)]
    completed = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": IMPORTABLE}, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    exit_codes = {"whole": 0, "killed": -signal.SIGKILL}
    expected = [sorted([exit_codes[fate], *[7] * (processes - 1)]) for fate in rounds]
    assert [json.loads(line) for line in completed.stdout.splitlines()] == expected, completed.stderr
    refusals = [line for line in completed.stderr.splitlines() if "is locked by" in line]
    named = (
        rf"the date {FIRST} of the store {night.store.root} is locked by pid \d+ on \S+ \(run for {FIRST}\) "
    )
    assert all(re.match(named, line) for line in refusals), refusals
    assert len(refusals) == len(rounds) * (processes - 1)
    assert len(night.published()) == rounds.count("whole")
    assert len({json.dumps(night.hashes(name)) for name in night.published()}) == 1
    assert night.store.running_dates() == {}
