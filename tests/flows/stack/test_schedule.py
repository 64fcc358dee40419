"""The schedule as it is shown; a real server's is in test_start.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from worlds.stack_world import free_port

from flows.stack.schedule import NightSchedule, night_schedule

NEXT = datetime(2026, 12, 1, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (NightSchedule(times=["30 2 * * * in UTC"], next_run=NEXT), "next run 2026-12-01 02:30 CET"),
        (NightSchedule(times=["30 2 * * * in UTC"]), "30 2 * * * in UTC"),
        (NightSchedule(times=["a", "b"], paused=True), "a; b; paused, so no night starts until"),
        (NightSchedule(), "none, so no night starts by itself"),
        (NightSchedule(problem="it is away"), "unknown: it is away"),
    ],
)
def test_a_schedule_says_when_nights_start_and_what_stops_them(schedule: NightSchedule, text: str) -> None:
    assert text in schedule.text


def test_a_server_that_is_away_is_a_problem_and_none_at_all_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert night_schedule(tmp_path / "nightshelf.toml", tmp_path / "store") is None
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    shown = night_schedule(tmp_path / "nightshelf.toml", tmp_path / "store")
    assert shown is not None
    assert "refused" in shown.text
