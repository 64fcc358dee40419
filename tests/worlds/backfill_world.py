"""A backfill for tests, with a date that can fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flows.command_line import app
from flows.night.retries import run_directly
from tasks.configuration.configuration import Configuration
from worlds.night_world import FIRST, SECOND, Night

BEFORE = FIRST - timedelta(days=1)  # it has no logs, so a run for it is refused
FOURTH = FIRST + timedelta(days=3)


def small(night: Night) -> Configuration:
    """Return a configuration that keeps two releases and trains only popularity.

    Its lists are poor compared with a night of ALS: the quality gate would rightly refuse them.
    """
    popularity: dict[str, Any] = {"train__models": ["popularity"], "train__serve": "popularity"}
    popularity |= {"quality__enabled": False}
    return night.configured(store__keep_releases=2, evaluation__enabled=False, **popularity)


def failing_for(as_of: date, failure: Exception) -> Callable[..., Any]:
    """Return a function that runs a date; `as_of` fails shortly before its release."""

    def around(name: str, work: Callable[[], Any]) -> Any:
        if name != f"backfill {as_of}":
            return work()

        def step(name: str, station: Callable[[], Any]) -> Any:
            if name == "release":
                raise failure
            return run_directly(name, station)

        order, _, report, trainer = work.args
        return work.func(order, step, report, trainer)

    return around


def dates_of(flow_run_id: Any) -> list[Any]:
    """Return the flow runs of the dates of a backfill, by name."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    only = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return sorted(client.read_flow_runs(flow_run_filter=only), key=lambda run: str(run.name))


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def by_date(night: Night) -> dict[str, str]:
    return {name[:10]: name for name in night.published()}


def called(night: Night, *words: str, code: int = 0) -> Any:
    dates = ["--start", str(BEFORE), "--end", str(SECOND), "--config", str(night.config)]
    result = CliRunner().invoke(app, ["backfill", *dates, *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result
