"""How a flow run ends by a user's mistake: one line at the end of its log, and no traceback."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from contextlib import suppress

from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun, FailedRun, MissingContextError, ParameterTypeError
from prefect.logging import get_run_logger
from prefect.states import Failed

MARK = "nightshelf_mistake"
"""The attribute of a log record that says how a flow run ended."""


_ending: list[str] = []
"""The message of the flow run of this process that is about to end by a mistake."""


def failed(message: str) -> State:
    """Return the state of the present flow run, which ends by a mistake; the message ends its log."""
    _ending[:] = [message]
    with suppress(MissingContextError):  # called as a plain function
        get_run_logger().error("%s", message, extra={MARK: True})
    return Failed(message=message)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether to log Prefect's line about the end of a flow run; shorten it if it is a mistake.

    Prefect logs the state again, and the traceback of the exception that it makes of it.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ParameterTypeError):  # Prefect checks parameters before the flow begins
        record.exc_info, record.msg, record.args = None, str(error), ()
    if _ending and str(record.msg).startswith("Finished in state Failed"):
        _ending.clear()
        return False
    return not isinstance(error, FailedRun | CancelledRun)


for name in ("prefect.flow_runs", "prefect.engine"):
    logging.getLogger(name).addFilter(_is_news)
