"""The nightly flow: the stations of `flows/night/run.py` as Prefect tasks."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed

from flows.backfill.dates import failures, run_backfill
from flows.backfill.plan import RUN, Planned
from flows.night import catch_up
from flows.night.resume import Resume
from flows.night.run import run_night
from flows.orchestration.artifacts import name_run, show_run
from flows.orchestration.exclusive import run_exclusively
from flows.orchestration.limits import freed_after, hold_date_limit, hold_turn
from flows.orchestration.logs import hide_prefect_failures
from flows.orchestration.mistakes import failed
from flows.orchestration.parameters import YESTERDAY, AsOf, Overrides, day_of
from flows.orchestration.remote_training import deployment_trainer
from flows.orchestration.station_task import REPORT, as_task
from flows.orchestration.temporary_server import shield_temporary_server
from flows.output.progress import log_progress
from tasks.configuration.configuration import Configuration, load
from tasks.configuration.overrides import overrides_of
from tasks.release.missing import missing_text
from tasks.runtime.errors import EXPECTED_ERRORS
from tasks.runtime.progress import Report
from tasks.runtime.redaction import clean_errors
from tasks.store.runs import RunRecord
from tasks.training.train import Trainer

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
    resumed: Resume = "yes" if resume else "where possible" if retried else "no"
    again = {"replace_changed": replace_changed, "rebuild": rebuild}
    try:
        configuration = load(Path(config), overrides_of(overrides))
        day = day_of(as_of, configuration, runtime.flow_run.scheduled_start_time)
        name_run(configuration, day, "nightly")
        if as_of == YESTERDAY and resumed == "no":
            return _make_scheduled(configuration, day, again)
        with hold_date_limit(configuration.store.path, day, wait=freed_after() * (resumed != "no")):
            return _make(configuration, day, again, resumed)
    except EXPECTED_ERRORS as error:
        return failed(str(error))


def _make_scheduled(configuration: Configuration, day: date, again: dict[str, bool]) -> RunRecord | State:
    """Make the date of a scheduled night, and those missed before it, unless there is no need any more."""

    def why_not() -> str | None:
        return None if any(again.values()) else catch_up.why_not(configuration, day)

    if why := why_not():
        return _not_made(why)
    store = configuration.store.path
    with hold_turn(store), hold_date_limit(store, day):
        if why := why_not():  # another late night made it meanwhile
            return _not_made(why)
        return _make(configuration, day, again, missed=catch_up.dates_before(configuration, day))


def _make(
    configuration: Configuration,
    day: date,
    again: dict[str, bool],
    resume: Resume = "no",
    missed: Sequence[date] = (),
) -> RunRecord:
    """Make a date as the present flow run, after the dates that were missed before it."""
    with clean_errors(), show_run(configuration, day, REPORT.get() or log_progress(LOG)) as report:
        trainer = deployment_trainer(configuration)
        if missed:
            _make_missed(configuration, missed, report, trainer)
        return run_night(
            configuration, day, step=as_task, report=report, trainer=trainer, resume=resume, **again
        )


def _not_made(why: str) -> State:
    """Return the state of a night that need not make its date."""
    get_run_logger().info("%s", why)
    return Completed(message=why)


def _make_missed(
    configuration: Configuration, dates: Sequence[date], report: Report, trainer: Trainer | None
) -> None:
    """Make the dates that were missed; one that fails does not stop the night."""
    LOG.info("%s; they are made first", missing_text(dates))
    planned = [Planned(missed, RUN, "missed") for missed in dates]
    outcomes = run_backfill(
        configuration,
        planned,
        step=as_task,
        date_step=partial(run_exclusively, configuration),
        report=report,
        trainer=trainer,
    )
    if problem := failures(outcomes):
        LOG.warning("the night goes on without missed dates: %s", problem)


def run_with_prefect(
    config: Path, as_of: date, report: Report, *, overrides: Overrides = (), **options: Any
) -> tuple[RunRecord | None, str]:
    """Run the flow in this process; return the record, or None and the failure message."""
    token = REPORT.set(report)
    shield_temporary_server()
    try:
        with hide_prefect_failures():
            state: State[RunRecord] = nightly(  # type: ignore[assignment]
                str(config), str(as_of), overrides, **options, return_state=True
            )
    finally:
        REPORT.reset(token)
    if state.is_completed():
        return state.result(), ""
    return None, state.message or "the flow run failed"
