"""The schedule of the night as it is on a Prefect server, where people change and pause it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from pydantic import BaseModel, Field

from flows.stack.processes import AUTH, Stack, read_stack, stack_folder
from flows.stack.server import Server

NIGHTLY = "deployments/name/nightly/nightly"
PAUSE = 0.5


class NightSchedule(BaseModel):
    """When the night runs: each schedule with its time zone, the next run, and what stops it."""

    times: list[str] = Field(default_factory=list)
    paused: bool = False
    next_run: datetime | None = None
    problem: str = ""

    @property
    def text(self) -> str:
        """Return it as a line."""
        if self.problem:
            return f"unknown: {self.problem}"
        times = "; ".join(self.times) or "none, so no night starts by itself"
        if self.paused:
            return f"{times}; paused, so no night starts until it is resumed in the UI"
        if self.next_run is None:
            return times
        return f"{times}; next run {self.next_run:%Y-%m-%d %H:%M %Z}"


def night_schedule(config: Path, store: Path) -> NightSchedule | None:
    """Return the schedule of the stack that is up for a store, or else of the server in PREFECT_API_URL.

    Returns None without such a server.
    """
    try:
        stack = read_stack(stack_folder(store))
    except ValueError:
        stack = None
    if stack is not None and stack.config == config.resolve():
        return stack_schedule(stack)
    api = os.environ.get("PREFECT_API_URL")
    if not api:
        return None
    auth = next((os.environ[name] for name in reversed(AUTH) if os.environ.get(name)), None)
    return read_schedule(Server(api.rstrip("/"), auth))


def stack_schedule(stack: Stack, seconds: float = 0.0) -> NightSchedule:
    """Return the schedule of a stack; wait up to `seconds` until its server has planned the next run."""
    until = time.monotonic() + seconds
    server = Server(f"{stack.url}/api", _password(stack))
    schedule = read_schedule(server)
    while schedule.times and not (schedule.paused or schedule.next_run) and time.monotonic() < until:
        time.sleep(PAUSE)
        schedule = read_schedule(server)
    return schedule


def read_schedule(server: Server) -> NightSchedule:
    """Return the schedule of the deployment `nightly`; its `problem` says why it is not known."""
    try:
        nightly = server.get(NIGHTLY)
        schedules = nightly["schedules"]
        active = [schedule for schedule in schedules if schedule["active"] and not nightly["paused"]]
        shown = NightSchedule(
            times=[_time(schedule["schedule"]) for schedule in active or schedules],
            paused=bool(schedules) and not active,
        )
        if active:
            zone = active[0]["schedule"].get("timezone") or "UTC"
            shown.next_run = next(_next_runs(server, nightly["id"], ZoneInfo(zone)), None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return NightSchedule(problem=f"{server.api} does not tell: {error}")
    return shown


def _next_runs(server: Server, deployment_id: str, zone: ZoneInfo) -> Iterator[datetime]:
    body = {
        "flow_runs": {
            "deployment_id": {"any_": [deployment_id]},
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"after_": datetime.now(UTC).isoformat()},
        },
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
    }
    for run in server.post("flow_runs/filter", body):
        yield datetime.fromisoformat(run["expected_start_time"]).astimezone(zone)


def _time(schedule: dict[str, Any]) -> str:
    """Return the text of a schedule: cron, interval or rule, and the time zone."""
    if "interval" in schedule:
        return f"every {schedule['interval']:.0f} s"
    return f"{schedule.get('cron') or schedule.get('rrule')} in {schedule.get('timezone') or 'UTC'}"


def _password(stack: Stack) -> str | None:
    """Return `user:password` from the server's environment, which its owner alone can read."""
    server = stack.parts[0].process() if stack.password and stack.parts else None
    try:
        return server.environ().get(AUTH[0]) if server else None
    except psutil.Error:
        return None
