"""How a night begins and ends: its date's lock, its record, the page about it, old runs removed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from flows.night.night import Night
from tasks.configuration.configuration import Configuration
from tasks.configuration.engines import sweep_scratch
from tasks.monitoring.metrics_file import write_metrics
from tasks.runtime.clock import now
from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.runtime.logs import named
from tasks.runtime.progress import Report
from tasks.runtime.redaction import clean
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord, bury, prune
from tasks.training.train import Trainer, train_in_child

LOG = logging.getLogger("nightshelf")
FREE_BYTES = 512 * 2**20  # below this a run is not even started


def writable(configuration: Configuration) -> Store:
    """Return the store, there and writable; StoreError if it is not, or its disk is full."""
    store = Store(configuration.store.path).create()
    store.require_free(FREE_BYTES)
    return store


@contextmanager
def started(
    configuration: Configuration,
    as_of: date,
    report: Report,
    begin: Callable[[Store], RunRecord],
    trainer: Trainer | None = None,
) -> Iterator[Night]:
    """Give a night that holds its date's lock; its record says how it ended.

    Nights of other dates may be at work meanwhile: the store's own lock is held only to write what is shared.
    """
    if trainer is None and configuration.train.deployment:
        LOG.info("[train] deployment is for nights run by Prefect: this one trains in its own processes")
    store = writable(configuration)
    with store.date_lock(as_of, f"run for {as_of}"):
        with store.lock(f"run for {as_of}: beginning", LOCK_WAIT, report):
            sweep_scratch(store.runs)
            bury(store, as_of)
            night = Night(configuration, store, as_of, begin(store), report, trainer or train_in_child)
            sweep_scratch(night.folder.root)
        with named(run_id=night.record.run_id, as_of=str(as_of)):
            try:
                yield night
                night.record.finished_at = now().isoformat()
                night.record.save(store)
            except BaseException as error:
                clean(error)
                failed(night, error)
                raise
            else:
                report_night(night)
            finally:
                let_go(night)
                write_metrics(store)


LOG = logging.getLogger("nightshelf")


def report_night(night: Night) -> None:
    """Write the report of a run, unless it is configured not to.

    Here any exception is caught: what is published stays so, and a failure that is being told stays the one
    told, whether or not the page about it can be made. The log says that it is missing, and why.
    """
    if not night.configuration.report.enabled:
        return
    try:
        from tasks.report.page import write_report

        write_report(night.store, night.record, night.configuration)
    except Exception as error:
        LOG.warning("the report of the run is not written: %s: %s", type(error).__name__, error)


def failed(night: Night, error: BaseException) -> None:
    """Record and report how a night failed; where that cannot be written, the error itself still goes on."""
    night.record.state, night.record.message = "failed", str(error) or type(error).__name__
    night.record.finished_at = now().isoformat()
    try:
        night.record.save(night.store)
    except StoreError as second:
        LOG.warning("the record of the run still says `running`: %s", second)
    if isinstance(error, Exception):  # one who interrupts does not wait for it
        report_night(night)


def let_go(night: Night) -> None:
    """Remove old runs, unless another writes now: the next run does it then."""
    try:
        with night.store.lock(f"run for {night.as_of}: removing old runs"):
            prune(night.store, night.configuration.store.keep_runs, night.as_of)
    except StoreLockedError as busy:
        LOG.info("old runs stay until the next one: %s", busy)
