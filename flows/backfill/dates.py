"""Run the dates of a backfill, one after another or in parallel, without Prefect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date
from functools import partial

from flows.backfill.one_date import Children, Order, Released, run_apart, run_here
from flows.backfill.plan import RUN, SKIP, Mode, Planned, divide_resources, to_run
from flows.night.lifecycle import own_trainer
from flows.night.retries import run_directly
from flows.night.run import Step, ingest_only
from tasks.configuration.configuration import Configuration
from tasks.release.releases import releases
from tasks.runtime.errors import EXPECTED_ERRORS, DateCancelledError
from tasks.runtime.progress import Report, silent
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord
from tasks.training.train import Trainer

LOG = logging.getLogger("nightshelf")
PUBLISHED, FAILED, SKIPPED, NOT_RUN = "published", "failed", "skipped", "not run"
CANCELLED = "cancelled"
LAST_WORDS = 3.0  # seconds for the threads of dates that are interrupted together


@dataclass(frozen=True)
class Outcome:
    """The outcome of one date: `state` is `published`, `failed`, `cancelled`, `skipped` or `not run`."""

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
    mode: Mode = "missing",
    continue_on_error: bool = True,
    max_parallel: int = 1,
    step: Step = run_directly,
    date_step: Step = run_directly,
    report: Report = silent,
    lock_wait: float = LOCK_WAIT,
    trainer: Trainer | None = None,
    children: Children | None = None,
) -> list[Outcome]:
    """Run the planned dates; return their outcomes in the order of the plan.

    All logs up to the last date are ingested first, so a date's result does not depend on the
    order in which dates run. With `max_parallel` above 1, each date runs in a separate process,
    and the dates share the memory and threads of the configuration. `step` runs one station of a
    date in this process, and `date_step` runs a whole date: directly, or as a Prefect task. A date
    that fails stops the dates not yet begun only if `continue_on_error` is False. If another
    process is running a date, the backfill waits for it for up to `lock_wait` seconds; unless the
    `mode` is `all`, a date that was published since the plan was made is skipped. It removes no
    release, and never moves readers to an older date. `trainer` trains the models of dates that
    run in this process, by default in one child for all; dates in child processes train in their
    own children. With `children`, all dates run in child processes, each of which can be cancelled
    there.
    """
    dates = to_run(planned)
    if not dates:
        return [_outcome_not_run(date_planned, "") for date_planned in planned]
    at_once = min(max_parallel, len(dates))
    roomy = divide_resources(_keeping_all_releases(configuration, planned), at_once)
    _ingest_first(configuration, max(dates), report)
    here, children = at_once == 1 and children is None, children or Children()

    def run(trains: Trainer | None, as_of: date) -> Outcome:
        report(f"backfill {as_of}", dates.index(as_of), len(dates))
        order = Order(configuration=roomy, as_of=as_of, lock_wait=lock_wait, only_missing=mode != "all")
        if here:
            return _run_date(as_of, date_step, partial(run_here, order, step, report, trains))
        return _run_date(as_of, date_step, partial(run_apart, order, report, children))

    threads = 0 if here else at_once
    with own_trainer(roomy) if here and trainer is None else nullcontext(trainer) as trains:
        ran = _run_dates(partial(run, trains), dates, threads, children, continue_on_error=continue_on_error)
    stopped = "stopped after a date that failed"
    return [
        ran.get(date_planned.as_of) or _outcome_not_run(date_planned, stopped) for date_planned in planned
    ]


def failures(outcomes: Sequence[Outcome]) -> str:
    """Return one message about all failed dates; empty if none failed."""
    failed = [outcome for outcome in outcomes if outcome.state == FAILED]
    if not failed:
        return ""
    ran = sum(outcome.state in {FAILED, PUBLISHED} for outcome in outcomes)
    lines = (f"{outcome.as_of}: {outcome.message.removeprefix(f'{outcome.as_of}: ')}" for outcome in failed)
    return "\n".join([f"{len(failed)} of {ran} dates failed", *lines])


def cancellations(outcomes: Sequence[Outcome]) -> str:
    """Return one message about all cancelled dates; empty if none was cancelled."""
    dates = [str(outcome.as_of) for outcome in outcomes if outcome.state == CANCELLED]
    ran = sum(outcome.state in {FAILED, PUBLISHED, CANCELLED} for outcome in outcomes)
    return f"{len(dates)} of {ran} dates cancelled: {', '.join(dates)}" if dates else ""


def _ingest_first(configuration: Configuration, last: date, report: Report) -> None:
    """Ingest the logs up to the last date; if that fails, each date ingests up to itself."""
    try:
        ingest_only(configuration, last, report=report)
    except EXPECTED_ERRORS as error:
        LOG.warning(
            "the logs up to %s cannot be ingested at once, so each date ingests its own: %s", last, error
        )


def _run_dates(
    run: Callable[[date], Outcome],
    dates: Sequence[date],
    threads: int,
    children: Children,
    *,
    continue_on_error: bool,
) -> dict[date, Outcome]:
    """Run the dates; return the outcomes of those begun.

    An interruption also ends `children`, and lets the threads of their dates tell so.
    """
    stopped, begun, outcomes = threading.Event(), set[date](), dict[date, Outcome]()

    def unless_stopped(as_of: date) -> None:
        if stopped.is_set():
            return
        begun.add(as_of)
        outcomes[as_of] = run(as_of)
        if outcomes[as_of].state == FAILED and not continue_on_error:
            stopped.set()

    try:
        _run_in_threads(unless_stopped, dates, threads)
    except BaseException:  # Ctrl-C, or Prefect's cancellation
        stopped.set()
        children.cancel(*children.running)
        until = time.monotonic() + LAST_WORDS
        while children.cancelled & begun - outcomes.keys() and time.monotonic() < until:
            time.sleep(0.1)
        raise
    return outcomes


def _run_in_threads(run: Callable[[date], None], dates: Sequence[date], threads: int) -> None:
    """Run the dates, here or in threads with this context; an interruption waits for no thread."""
    if threads == 0:
        for as_of in dates:
            run(as_of)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="backfill")
    try:
        for future in [pool.submit(copy_context().run, run, as_of) for as_of in dates]:
            future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _outcome_not_run(planned: Planned, why: str) -> Outcome:
    if planned.action == SKIP:
        return Outcome(planned.as_of, SKIP, SKIPPED, message=planned.reason)
    return Outcome(planned.as_of, planned.action, NOT_RUN, message=why)


def _keeping_all_releases(configuration: Configuration, planned: Sequence[Planned]) -> Configuration:
    """Return the configuration with `keep_releases` raised so that the plan removes no release."""
    needed = len(releases(Store(configuration.store.path))) + len(to_run(planned))
    keep = max(configuration.store.keep_releases, needed)
    store = configuration.store.model_copy(update={"keep_releases": keep})
    return configuration.model_copy(update={"store": store})


def _run_date(as_of: date, date_step: Step, work: Callable[[], RunRecord | Released]) -> Outcome:
    """Run a date through `date_step`; a user's mistake or a defect does not end the other dates."""
    started = time.monotonic()
    try:
        result = date_step(f"backfill {as_of}", work)
    except DateCancelledError:
        message = "cancelled; the same backfill continues it after its last finished station"
        return Outcome(as_of, RUN, CANCELLED, _seconds_since(started), message=message)
    except EXPECTED_ERRORS as error:
        return Outcome(as_of, RUN, FAILED, _seconds_since(started), message=str(error))
    except Exception as error:
        LOG.exception("backfill of %s failed with a defect", as_of)
        return Outcome(
            as_of, RUN, FAILED, _seconds_since(started), message=f"{type(error).__name__}: {error}"
        )
    if isinstance(result, Released):
        message = f"published meanwhile as {result.release_id}"
        return Outcome(as_of, SKIP, SKIPPED, release_id=result.release_id, message=message)
    rows = result.station("recommendations").rows
    return Outcome(as_of, RUN, PUBLISHED, _seconds_since(started), rows, result.release_id)


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 3)
