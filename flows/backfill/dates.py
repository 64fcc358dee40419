"""Running the dates of a backfill, one after another or several at once; free of Prefect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date
from functools import partial

from flows.backfill.one_date import Order, run_apart, run_here
from flows.backfill.plan import RUN, SKIP, Planned, shared, to_run
from flows.night.retries import directly
from flows.night.run import Step, ingest_only
from tasks.configuration.configuration import Configuration
from tasks.release.releases import releases
from tasks.runtime.children import Child, end
from tasks.runtime.errors import EXPECTED
from tasks.runtime.progress import Report, silent
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord
from tasks.training.train import Trainer

LOG = logging.getLogger("nightshelf")
PUBLISHED, FAILED, SKIPPED, LEFT = "published", "failed", "skipped", "not run"


@dataclass(frozen=True)
class Outcome:
    """What became of one date: `state` is `published`, `failed`, `skipped` or `not run`."""

    as_of: date
    action: str
    state: str
    seconds: float | None = None
    rows: int | None = None
    release_id: str | None = None
    message: str = ""

    @property
    def headline(self) -> str:
        """The first line of the message, for tables."""
        return self.message.partition("\n")[0]


def run_backfill(
    configuration: Configuration,
    planned: Sequence[Planned],
    *,
    continue_on_error: bool = True,
    max_parallel: int = 1,
    step: Step = directly,
    around: Step = directly,
    report: Report = silent,
    lock_wait: float = LOCK_WAIT,
    trainer: Trainer | None = None,
) -> list[Outcome]:
    """Run the planned dates; return what became of each, in the order of the plan.

    The logs are taken in first, up to the last date, so that what a date knows does not depend on which
    other was run before it. With `max_parallel` above 1 each date runs in a process of its own, and they
    share the memory and threads of the configuration. `step` runs a station of a date in this process and
    `around` a whole date: directly, or as a Prefect task. A date that fails stops those not yet begun only if
    `continue_on_error` is False. A date that another process runs is waited for up to `lock_wait` seconds. No
    release is removed meanwhile, and readers are never led to an older date. `trainer` trains the models of
    dates that run in this process; others train in child processes of their own.
    """
    dates = to_run(planned)
    if not dates:
        return [_not_begun(date_planned, "") for date_planned in planned]
    at_once = min(max_parallel, len(dates))
    roomy = shared(_keeping_all(configuration, planned), at_once)
    _take_in(configuration, max(dates), report)
    children = set[Child]()

    def run(as_of: date) -> Outcome:
        report(f"backfill {as_of}", dates.index(as_of), len(dates))
        order = Order(configuration=roomy, as_of=as_of, lock_wait=lock_wait)
        if at_once == 1:
            return _attempted(as_of, around, partial(run_here, order, step, report, trainer))
        return _attempted(as_of, around, partial(run_apart, order, report, children))

    ran = _each(run, dates, at_once, children, continue_on_error=continue_on_error)
    stopped = "stopped after a date that failed"
    return [ran.get(date_planned.as_of) or _not_begun(date_planned, stopped) for date_planned in planned]


def failures(outcomes: Sequence[Outcome]) -> str:
    """Return one message about the dates that failed, empty if none did."""
    failed = [one for one in outcomes if one.state == FAILED]
    if not failed:
        return ""
    tried = sum(one.state in {FAILED, PUBLISHED} for one in outcomes)
    lines = (f"{one.as_of}: {one.message.removeprefix(f'{one.as_of}: ')}" for one in failed)
    return "\n".join([f"{len(failed)} of {tried} dates failed", *lines])


def _take_in(configuration: Configuration, last: date, report: Report) -> None:
    """Take the logs in up to the last date; where they cannot be, each date tries up to its own."""
    try:
        ingest_only(configuration, last, report=report)
    except EXPECTED as error:
        LOG.warning(
            "the logs up to %s cannot be taken in at once, each date takes in its own: %s", last, error
        )


def _each(
    run: Callable[[date], Outcome],
    dates: Sequence[date],
    at_once: int,
    children: set[Child],
    *,
    continue_on_error: bool,
) -> dict[date, Outcome]:
    """Run the dates; return what became of those that were begun. An interruption ends `children`, too."""
    stopped, outcomes = threading.Event(), dict[date, Outcome]()

    def unless_stopped(as_of: date) -> None:
        if stopped.is_set():
            return
        outcomes[as_of] = run(as_of)
        if outcomes[as_of].state == FAILED and not continue_on_error:
            stopped.set()

    try:
        _side_by_side(unless_stopped, dates, at_once)
    except BaseException:  # Ctrl-C, or Prefect's cancellation
        stopped.set()
        for child in [*children]:
            end(child)
        raise
    return outcomes


def _side_by_side(run: Callable[[date], None], dates: Sequence[date], at_once: int) -> None:
    """Run the dates; several at once in threads of this context, which an interruption does not wait for."""
    if at_once == 1:
        for as_of in dates:
            run(as_of)
        return
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="backfill")
    try:
        for future in [pool.submit(copy_context().run, run, as_of) for as_of in dates]:
            future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _not_begun(planned: Planned, why: str) -> Outcome:
    if planned.action == SKIP:
        return Outcome(planned.as_of, SKIP, SKIPPED, message=planned.reason)
    return Outcome(planned.as_of, planned.action, LEFT, message=why)


def _keeping_all(configuration: Configuration, planned: Sequence[Planned]) -> Configuration:
    """Return the configuration with room for every release there is and every one the plan makes."""
    needed = len(releases(Store(configuration.store.path))) + len(to_run(planned))
    keep = max(configuration.store.keep_releases, needed)
    store = configuration.store.model_copy(update={"keep_releases": keep})
    return configuration.model_copy(update={"store": store})


def _attempted(as_of: date, around: Step, work: Callable[[], RunRecord]) -> Outcome:
    """Run a date inside `around`; neither a mistake nor a defect there ends the other dates."""
    started = time.monotonic()
    try:
        record = around(f"backfill {as_of}", work)
    except EXPECTED as error:
        return Outcome(as_of, RUN, FAILED, _since(started), message=str(error))
    except Exception as error:
        LOG.exception("backfill of %s: a defect", as_of)
        return Outcome(as_of, RUN, FAILED, _since(started), message=f"{type(error).__name__}: {error}")
    rows = record.station("recommendations").rows
    return Outcome(as_of, RUN, PUBLISHED, _since(started), rows, record.release_id)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
