"""The backfill flow: `flows/backfill/dates.py` with a flow run for each date."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from flows.orchestration.station_task import REPORT  # first: it sets what Prefect reads when it is imported

# isort: split
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.logging import get_run_logger
from prefect.states import Cancelled
from pydantic import Field

from flows.backfill.dates import Outcome, cancellations, failures, run_backfill
from flows.backfill.one_date import Children
from flows.backfill.plan import Mode, Planned, backfill_configuration, estimate, plan, warnings
from flows.orchestration.artifacts import show_flow
from flows.orchestration.date_run import report_unless_cancelled, run_as_flow, step_unless_cancelled
from flows.orchestration.logs import hide_prefect_failures
from flows.orchestration.mistakes import failed
from flows.orchestration.parameters import Models, Overrides
from flows.orchestration.remote_training import deployment_trainer
from flows.orchestration.temporary_server import shield_temporary_server
from flows.output.progress import log_progress
from tasks.configuration.configuration import Configuration
from tasks.configuration.overrides import overrides_of
from tasks.report.markdown import markdown
from tasks.runtime.errors import EXPECTED_ERRORS
from tasks.runtime.progress import Report

LOG = logging.getLogger("nightshelf")
OUTCOMES: ContextVar[list[Outcome] | None] = ContextVar("outcomes", default=None)
"""Collects the outcomes for a caller in this process."""


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
    """Publish a release for each date of a range; readers never move back to an older date.

    Args:
        start: The first date.
        end: The last date; not in the future.
        mode: missing: dates without a release. failed: those of them whose last run failed. all: every date.
        dry_run: Show the plan and the estimate, and change nothing.
        max_parallel: Dates to run in parallel at most, in separate processes that share memory and threads.
        newest_first: Start with the last date.
        continue_on_error: Continue with the other dates after one fails; the run still ends Failed. A date
            that is cancelled, in its own flow run, stops no other; the run ends Cancelled and names it.
        models: Train only these models; if none is chosen, the configured ones.
        overrides: Configuration keys to replace, with their values, such as models.als.factors=64.
        reason: The reason, kept with the run and its artifact.
        config: Path of the configuration file.
    """
    log = get_run_logger()
    try:
        configuration = backfill_configuration(Path(config), models, overrides_of(overrides))
        planned = plan(configuration, start, end, mode, newest_first)
        seconds, messages = estimate(configuration, planned), warnings(configuration, planned, max_parallel)
    except EXPECTED_ERRORS as error:
        return failed(str(error))
    for warning in messages:
        log.warning("%s", warning)
    if dry_run:
        _show_plan(planned, seconds, messages, reason)
        return planned
    outcomes = _run_planned(
        configuration, planned, mode=mode, continue_on_error=continue_on_error, max_parallel=max_parallel
    )
    _show_outcomes(outcomes, reason)
    problem, cancelled = failures(outcomes), cancellations(outcomes)
    if problem:
        return failed("\n".join(filter(None, [problem, cancelled])))
    return Cancelled(message=cancelled) if cancelled else outcomes


def _run_planned(
    configuration: Configuration, planned: list[Planned], *, max_parallel: int, **options: Any
) -> list[Outcome]:
    """Run each planned date as a flow run of its own; return the outcomes, also through OUTCOMES.

    Each runs in a process of its own, which ends if the date is cancelled. With `[train]
    deployment`, dates that run one at a time run here, since their models are trained by flow runs,
    and a date that is cancelled ends when it next reports progress.
    """
    trainer, children = deployment_trainer(configuration), Children()
    apart = trainer is None or max_parallel > 1
    with show_flow(configuration.store.path, REPORT.get() or log_progress(LOG)) as report:
        outcomes = run_backfill(
            configuration,
            planned,
            step=step_unless_cancelled,
            date_step=partial(run_as_flow, configuration, children.cancel),
            report=partial(report_unless_cancelled, report),
            trainer=trainer,
            children=children if apart else None,
            max_parallel=max_parallel,
            **options,
        )
    collected = OUTCOMES.get()
    if collected is not None:
        collected.extend(outcomes)
    return outcomes


def backfill_with_prefect(
    config: Path, start: date, end: date, report: Report, **options: Any
) -> tuple[list[Outcome], str]:
    """Run the flow in this process; return the outcomes and the failure message, if any."""
    outcomes: list[Outcome] = []
    tokens = REPORT.set(report), OUTCOMES.set(outcomes)
    shield_temporary_server()
    try:
        with hide_prefect_failures():
            state: Any = backfill(
                start=start, end=end, dry_run=False, config=str(config), **options, return_state=True
            )
    finally:
        REPORT.reset(tokens[0])
        OUTCOMES.reset(tokens[1])
    return outcomes, "" if state.is_completed() else state.message or "the flow run failed"


def _show_plan(planned: list[Planned], seconds: float | None, messages: tuple[str, ...], reason: str) -> None:
    """Show the plan and the estimate as an artifact."""
    took = "unknown, no published run on disk" if seconds is None else f"{seconds:.0f} s"
    lines = [*([f"**Reason:** {markdown(reason)}"] if reason else []), f"**Estimate:** {took}"]
    lines += [f"**Warning:** {markdown(warning)}" for warning in messages]
    rows = "\n".join(
        f"| {date_planned.as_of} | {date_planned.action} | {markdown(date_planned.reason)} |"
        for date_planned in planned
    )
    text = "\n\n".join([*lines, "| date | action | reason |\n| --- | --- | --- |\n" + rows])
    create_markdown_artifact(text, key="backfill-plan", description="What the backfill would do")


def _show_outcomes(outcomes: list[Outcome], reason: str) -> None:
    """Show the outcome of each date as a table artifact."""
    rows = [
        {
            "date": str(outcome.as_of),
            "action": outcome.action,
            "state": outcome.state,
            "duration": "" if outcome.seconds is None else f"{outcome.seconds:.1f} s",
            "rows": "" if outcome.rows is None else outcome.rows,
            "release": outcome.release_id or "",
            "message": markdown(outcome.headline),
        }
        for outcome in outcomes
    ]
    about = "The outcome of each date" + (f". Reason: {markdown(reason)}" if reason else "")
    create_table_artifact(rows, key="backfill", description=about)
