"""The nightly flow: the stations of `flows/night/run.py` as Prefect tasks."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from datetime import date
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.night.run import run_night
from flows.orchestration.artifacts import name_run, run_shown
from flows.orchestration.limits import only_run_of
from flows.orchestration.logs import failures_unsaid
from flows.orchestration.parameters import YESTERDAY, AsOf, Overrides, day_of
from flows.orchestration.remote_training import routed
from flows.orchestration.station_task import REPORT, as_task
from flows.output.progress import logged
from tasks.configuration.configuration import load
from tasks.configuration.overrides import overrides_of
from tasks.runtime.errors import EXPECTED
from tasks.runtime.progress import Report
from tasks.runtime.redaction import clean_errors
from tasks.store.runs import RunRecord

LOG = logging.getLogger("nightshelf")


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
        overrides: Keys of the configuration to replace, each with its value, such as models.als.factors=64.
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
    config: Path, as_of: date, report: Report, *, overrides: Overrides = (), **options: Any
) -> tuple[RunRecord | None, str]:
    """Run the flow in this process; return the record, or None and why it failed."""
    token = REPORT.set(report)
    failures_unsaid()
    try:
        state: State[RunRecord] = nightly(  # type: ignore[assignment]
            str(config), str(as_of), overrides, **options, return_state=True
        )
    finally:
        REPORT.reset(token)
    if state.is_completed():
        return state.result(), ""
    return None, state.message or "the flow run failed"
