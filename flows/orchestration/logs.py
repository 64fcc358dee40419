"""Our log lines in the log of the flow run, where the person who looks at the UI finds them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler

from tasks.runtime.logs import where, write_logs

LOG = logging.getLogger("nightshelf")


class FlowRunLines(APILogHandler):
    """Sends our lines to one flow run's log, of whatever thread they come; each says of which run it is."""

    def __init__(self, flow_run_id: str) -> None:
        super().__init__()
        self.flow_run_id = flow_run_id

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        task = TaskRunContext.get()
        record.flow_run_id = self.flow_run_id
        record.task_run_id = str(task.task_run.id) if task else None
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with the run, the date and the station behind it."""
        facts = [f"{name} {value}" for name, value in where().items() if value]
        return super().format(record) + (f" [{', '.join(facts)}]" if facts else "")


def failures_unsaid() -> None:
    """Leave out Prefect's lines about a failure, for a command that ends with the message itself."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(("Finished in state Failed", "Task run failed with state"))


@contextmanager
def lines_shown() -> Iterator[None]:
    """Send our lines to the log of the flow run in whose flow this is called, until it is left.

    Where the user sends them there by PREFECT_LOGGING_EXTRA_LOGGERS, that is left to it.
    """
    write_logs()  # a worker's process did not start as our command line
    context = FlowRunContext.get()
    if (
        context is None
        or context.flow_run is None
        or any(isinstance(one, APILogHandler) for one in LOG.handlers)
    ):
        yield
        return
    handler = FlowRunLines(str(context.flow_run.id))
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
