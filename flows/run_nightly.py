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

from flows.night.run import run_night
from flows.orchestration.artifacts import name_run, show_run
from flows.orchestration.limits import freed_after, hold_date_limit
from flows.orchestration.logs import hide_prefect_failures
from flows.orchestration.mistakes import failed
from flows.orchestration.parameters import YESTERDAY, AsOf, Overrides, day_of
from flows.orchestration.remote_training import deployment_trainer
from flows.orchestration.station_task import REPORT, as_task
from flows.orchestration.temporary_server import shield_temporary_server
from flows.output.progress import log_progress
from tasks.configuration.configuration import load
from tasks.configuration.overrides import overrides_of
from tasks.runtime.errors import EXPECTED_ERRORS
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
    """Ingest the logs up to a date, train, and publish the release of that date.

    Args:
        config: Path of the configuration file.
        as_of: The date to run for, such as 2026-11-20, or: yesterday, in the time zone of the source, counted
            from the time for which the run is scheduled.
        overrides: Configuration keys to replace, with their values, such as models.als.factors=64.
        replace_changed: Ingest files again whose content changed since they were ingested.
        rebuild: Ingest every file again, after a change of the [source] section.
        resume: Continue the date's last run, which did not publish, from its last finished station. A retry
            of this flow run does so by itself, and starts anew if there is nothing to continue.
    """
    retried = runtime.flow_run.run_count > 1
    try:
        configuration = load(Path(config), overrides_of(overrides))
        day = day_of(as_of, configuration, runtime.flow_run.scheduled_start_time)
        name_run(configuration, day, "nightly")
        with (
            clean_errors(),
            hold_date_limit(configuration.store.path, day, wait=freed_after() * (resume or retried)),
            show_run(configuration, day, REPORT.get() or log_progress(LOG)) as report,
        ):
            record = run_night(
                configuration,
                day,
                step=as_task,
                report=report,
                replace_changed=replace_changed,
                rebuild=rebuild,
                trainer=deployment_trainer(configuration),
                resume="yes" if resume else "where possible" if retried else "no",
            )
    except EXPECTED_ERRORS as error:
        return failed(str(error))
    return record


def run_with_prefect(
    config: Path, as_of: date, report: Report, *, overrides: Overrides = (), **options: Any
) -> tuple[RunRecord | None, str]:
    """Run the flow in this process; return the record, or None and the failure message."""
    token = REPORT.set(report)
    hide_prefect_failures()
    shield_temporary_server()
    try:
        state: State[RunRecord] = nightly(  # type: ignore[assignment]
            str(config), str(as_of), overrides, **options, return_state=True
        )
    finally:
        REPORT.reset(token)
    if state.is_completed():
        return state.result(), ""
    return None, state.message or "the flow run failed"
