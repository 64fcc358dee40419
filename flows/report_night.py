"""The last act of a run, however it ended: the page about it."""

from __future__ import annotations

import logging

from flows.define_stations import Night

LOG = logging.getLogger("nightshelf")


def report_night(night: Night) -> None:
    """Write the report of a run, unless it is configured not to.

    Here any exception is caught: what is published stays so, and a failure that is being told stays the one
    told, whether or not the page about it can be made. The log says that it is missing, and why.
    """
    if not night.configuration.report.enabled:
        return
    try:
        from tasks.report import write_report

        write_report(night.store, night.record, night.configuration)
    except Exception as error:
        LOG.warning("the report of the run is not written: %s: %s", type(error).__name__, error)
