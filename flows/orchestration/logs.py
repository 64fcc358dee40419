"""Nightshelf's log lines in the log of the flow run, for display in the UI."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

from flows.orchestration.mistakes import MARK
from tasks.runtime.interruption import interrupted
from tasks.runtime.logs import current_fields, write_logs

LOG = logging.getLogger("nightshelf")


class FlowRunHandler(APILogHandler):
    """Sends log lines of any thread to one flow run's log, or to that of the date they are about."""

    def __init__(self, flow_run_id: str) -> None:
        super().__init__()
        self.flow_run_id = flow_run_id

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        task, flow = TaskRunContext.get(), FlowRunContext.get()
        present = flow.flow_run if flow else None
        record.flow_run_id = str(present.id) if present else self.flow_run_id
        record.task_run_id = str(task.task_run.id) if task else None
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the message followed by the run, the date and the station."""
        facts = [f"{name} {value}" for name, value in current_fields().items() if value]
        return super().format(record) + (f" [{', '.join(facts)}]" if facts else "")


@contextmanager
def hide_prefect_failures() -> Iterator[None]:
    """Suppress Prefect's lines about a failure, for commands that print the message themselves."""
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addFilter(_is_no_failure)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_no_failure)


def _is_no_failure(record: logging.LogRecord) -> bool:
    return (
        not interrupted()
        and not hasattr(record, MARK)
        and not str(record.msg).startswith(("Finished in state Failed", "Task run failed with state"))
    )


@contextmanager
def forward_logs() -> Iterator[None]:
    """Forward log lines to the current flow run's log inside the context.

    Nothing is added if PREFECT_LOGGING_EXTRA_LOGGERS already forwards them.
    """
    write_logs()  # a worker's process does not start through our command line
    context = FlowRunContext.get()
    if (
        context is None
        or context.flow_run is None
        or any(isinstance(handler, APILogHandler) for handler in LOG.handlers)
    ):
        yield
        return
    forwarder = FlowRunHandler(str(context.flow_run.id))
    LOG.addHandler(forwarder)
    try:
        yield
    finally:
        LOG.removeHandler(forwarder)
