"""The nightly flow: the stations of `flows/run_stations.py` as Prefect tasks."""

from __future__ import annotations

import flows.configure_prefect  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.limit_runs import only_run_of
from flows.read_parameters import YESTERDAY, AsOf, Overrides, day_of, lines_of, overrides_of
from flows.retry_station import ATTEMPTS, JITTER, WAITS
from flows.route_training import routed
from flows.run_stations import run_night
from flows.show_artifacts import name_run, run_shown
from flows.show_logs import failures_unsaid
from flows.show_progress import logged
from tasks.configuration.configuration import load
from tasks.runtime.errors import EXPECTED, TransientError, can_pass
from tasks.runtime.progress import Report
from tasks.runtime.redaction import clean_errors
from tasks.store.runs import RunRecord

T = TypeVar("T")
LOG = logging.getLogger("nightshelf")
REPORT: ContextVar[Report | None] = ContextVar("report", default=None)
"""Where progress is shown; without it, in the flow run's log."""


def as_task(name: str, station: Callable[[], T]) -> T:
    """Run one station as a Prefect task.

    Nothing is cached or kept by Prefect: the record on disk is the truth. A mistake of the user fails the
    task with its message, without a traceback; one whose cause may pass is tried again first.
    """
    refused: list[Exception] = []

    def guarded() -> Any:
        refused.clear()
        try:
            return station()
        except EXPECTED as error:
            refused.append(error)
            return Failed(message=str(error))

    guarded.__doc__ = station.__doc__
    as_named = task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=ATTEMPTS - 1,
        retry_delay_seconds=WAITS,
        retry_jitter_factor=JITTER,
        retry_condition_fn=lambda *_: bool(refused) and can_pass(refused[0]),
    )
    state = as_named(guarded)(return_state=True)
    if refused:
        if isinstance(refused[0], TransientError):
            refused[0].spent = True  # a task around this one does not begin again
        raise refused.pop()  # Prefect keeps the task: what it holds, and the error its frames, would stay
    return state.result()  # type: ignore[no-any-return]


def _run_name() -> str:
    return f"nightly {runtime.flow_run.parameters.get('as_of')}"


@flow(name="nightly", flow_run_name=_run_name, persist_result=False)
def nightly(
    config: str = "nightshelf.toml",
    as_of: AsOf = YESTERDAY,
    overrides: Overrides = (),
    *,
    replace_changed: bool = False,
    rebuild: bool = False,
    resume: bool = False,
) -> Any:
    """Take in the logs up to a date, train, and publish the release of that date.

    Args:
        config: Path of the configuration file.
        as_of: The date to run for, such as 2026-11-20, or: yesterday, in the time zone of the source.
        overrides: Keys of the configuration to replace, each with its value, such as engine.name=spark.
        replace_changed: Take files in again whose content changed since they were taken in.
        rebuild: Take every file in again, after a change of the [source] section.
        resume: Continue the date's last run, which did not publish, from its last finished station. A retry
            of this flow run does so by itself, and starts anew where there is nothing to continue.
    """
    retried = runtime.flow_run.run_count > 1
    try:
        configuration = load(Path(config), overrides_of(overrides))
        day = day_of(as_of, configuration)
        name_run(configuration, day, "nightly")
        with (
            clean_errors(),
            only_run_of(configuration.store.path, day, wait=resume or retried),
            run_shown(configuration, day, REPORT.get() or logged(LOG)) as report,
        ):
            record = run_night(
                configuration,
                day,
                step=as_task,
                report=report,
                replace_changed=replace_changed,
                rebuild=rebuild,
                trainer=routed(configuration),
                resume="yes" if resume else "where possible" if retried else "no",
            )
    except EXPECTED as error:
        return Failed(message=str(error))
    return record


def run_with_prefect(
    config: Path, as_of: date, report: Report, *, overrides: Mapping[str, Any] | None = None, **options: Any
) -> tuple[RunRecord | None, str]:
    """Run the flow in this process; return the record, or None and why it failed."""
    token = REPORT.set(report)
    failures_unsaid()
    try:
        state: State[RunRecord] = nightly(  # type: ignore[assignment]
            str(config), str(as_of), lines_of(overrides or {}), **options, return_state=True
        )
    finally:
        REPORT.reset(token)
    if state.is_completed():
        return state.result(), ""
    return None, state.message or "the flow run failed"
