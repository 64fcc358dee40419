"""The backfill flow: `flows/backfill/dates.py` with a Prefect task per date and station, and its form."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from flows.orchestration.station_task import (  # first: it sets what Prefect reads when it is imported
    REPORT,
    as_task,
)

# isort: split
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger
from prefect.states import Failed
from pydantic import Field

from flows.backfill.dates import Outcome, failures, run_backfill
from flows.backfill.plan import Mode, Planned, configured, estimate, plan, warnings
from flows.orchestration.artifacts import artifacts_of, flow_shown
from flows.orchestration.limits import only_run_of
from flows.orchestration.logs import failures_unsaid
from flows.orchestration.parameters import Models, Overrides
from flows.orchestration.remote_training import routed
from flows.output.progress import logged
from tasks.configuration.configuration import Configuration
from tasks.configuration.overrides import overrides_of
from tasks.report.markdown import markdown
from tasks.runtime.errors import EXPECTED
from tasks.runtime.progress import Report

T = TypeVar("T")
LOG = logging.getLogger("nightshelf")
DONE: ContextVar[list[Outcome] | None] = ContextVar("done", default=None)
"""Where what became of the dates is put for a caller in this process."""


@flow(name="backfill", flow_run_name="backfill {start}..{end}", persist_result=False)
def backfill(
    *,
    start: date,
    end: date,
    mode: Mode = "missing",
    dry_run: bool = True,
    max_parallel: Annotated[int, Field(ge=1, le=8)] = 1,
    newest_first: bool = False,
    continue_on_error: bool = True,
    models: Models = (),
    overrides: Overrides = (),
    reason: str = "",
    config: str = "nightshelf.toml",
) -> Any:
    """Run the dates of a range again and publish a release of each; readers are never led back in time.

    Args:
        start: The first date.
        end: The last date; not in the future.
        mode: missing: dates without a release. failed: those of them whose last run failed. all: every date.
        dry_run: Only show the plan and the estimate, and change nothing.
        max_parallel: Dates at once at most, each in a process of its own; they share memory and threads.
        newest_first: Begin with the last date.
        continue_on_error: Go on with the other dates after one that failed; the run ends Failed all the same.
        models: Train these models only; those configured if none is chosen.
        overrides: Keys of the configuration to replace, each with its value, such as models.als.factors=64.
        reason: Why; kept with the run and its artifact.
        config: Path of the configuration file.
    """
    log = get_run_logger()
    try:
        configuration = configured(Path(config), models, overrides_of(overrides))
        planned = plan(configuration, start, end, mode, newest_first)
        seconds, warned = estimate(configuration, planned), warnings(configuration, planned, max_parallel)
    except EXPECTED as error:
        return Failed(message=str(error))
    for warning in warned:
        log.warning("%s", warning)
    if dry_run:
        _show_plan(planned, seconds, warned, reason)
        return planned
    outcomes = _run(configuration, planned, continue_on_error=continue_on_error, max_parallel=max_parallel)
    _show_outcomes(outcomes, reason)
    failed = failures(outcomes)
    return Failed(message=failed) if failed else outcomes


def _run(
    configuration: Configuration, planned: list[Planned], *, continue_on_error: bool, max_parallel: int
) -> list[Outcome]:
    """Run the planned dates, a task each; return what became of them, also to a caller that asked for it."""
    with flow_shown(configuration.store.path, REPORT.get() or logged(LOG)) as report:
        outcomes = run_backfill(
            configuration,
            planned,
            continue_on_error=continue_on_error,
            max_parallel=max_parallel,
            step=as_task,
            around=partial(_alone, configuration),
            report=report,
            trainer=routed(configuration),
        )
    kept = DONE.get()
    if kept is not None:
        kept.extend(outcomes)
    return outcomes


def _alone(configuration: Configuration, name: str, work: Callable[[], T]) -> T:
    """Run one date as a Prefect task, if no other run of it is going on; the name ends with the date."""

    def alone() -> T:
        as_of = date.fromisoformat(name[-10:])
        with only_run_of(configuration.store.path, as_of), artifacts_of(configuration, as_of):
            return work()

    return as_task(name, alone)


def backfill_with_prefect(
    config: Path, start: date, end: date, report: Report, **options: Any
) -> tuple[list[Outcome], str]:
    """Run the flow in this process; return what became of the dates, and why it failed or nothing."""
    done: list[Outcome] = []
    tokens = REPORT.set(report), DONE.set(done)
    failures_unsaid()
    try:
        state: Any = backfill(
            start=start, end=end, dry_run=False, config=str(config), **options, return_state=True
        )
    finally:
        REPORT.reset(tokens[0])
        DONE.reset(tokens[1])
    return done, "" if state.is_completed() else state.message or "the flow run failed"


def _show_plan(planned: list[Planned], seconds: float | None, warned: tuple[str, ...], reason: str) -> None:
    """Put the plan and the estimate where the person who filled the form finds them."""
    took = "unknown, no published run is on disk" if seconds is None else f"{seconds:.0f} s"
    lines = [*([f"**Reason:** {markdown(reason)}"] if reason else []), f"**Estimate:** {took}"]
    lines += [f"**Warning:** {markdown(warning)}" for warning in warned]
    rows = "\n".join(f"| {one.as_of} | {one.action} | {markdown(one.reason)} |" for one in planned)
    text = "\n\n".join([*lines, "| date | action | reason |\n| --- | --- | --- |\n" + rows])
    create_markdown_artifact(text, key="backfill-plan", description="What the backfill would do")


def _show_outcomes(outcomes: list[Outcome], reason: str) -> None:
    """Put what became of each date into a table artifact."""
    rows = [
        {
            "date": str(one.as_of),
            "action": one.action,
            "state": one.state,
            "duration": "" if one.seconds is None else f"{one.seconds:.1f} s",
            "rows": "" if one.rows is None else one.rows,
            "release": one.release_id or "",
            "message": markdown(one.headline),
        }
        for one in outcomes
    ]
    about = "What became of each date" + (f". Reason: {markdown(reason)}" if reason else "")
    create_table_artifact(rows, key="backfill", description=about)
