"""The last acts of a run, however it ended: its record, the page about it, and old runs let go of."""

from __future__ import annotations

import logging

from flows.define_stations import Night
from tasks.runtime.clock import now
from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.store.runs import prune

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
