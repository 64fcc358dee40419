"""A station as a Prefect task."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from flows.night.retries import ATTEMPTS, JITTER, WAITS
from tasks.runtime.errors import EXPECTED_ERRORS, TransientError, is_transient
from tasks.runtime.progress import Report

T = TypeVar("T")
REPORT: ContextVar[Report | None] = ContextVar("report", default=None)
"""The report that shows progress; if unset, progress goes to the flow run's log."""


def as_task(name: str, station: Callable[[], T]) -> T:
    """Run one station as a Prefect task.

    Prefect caches and keeps nothing: the record on disk is the truth. A user's mistake fails the
    task with its message and no traceback. Temporary failures are retried first.
    """
    errors: list[Exception] = []

    def guarded() -> Any:
        errors.clear()
        try:
            return station()
        except EXPECTED_ERRORS as error:
            errors.append(error)
            return Failed(message=str(error))

    guarded.__doc__ = station.__doc__
    title = name.replace("_", " ")
    as_named = task(
        name=title,
        task_run_name=title,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=ATTEMPTS - 1,
        retry_delay_seconds=WAITS,
        retry_jitter_factor=JITTER,
        retry_condition_fn=lambda *_: bool(errors) and is_transient(errors[0]),
    )
    state = as_named(guarded)(return_state=True)
    if errors:
        if isinstance(errors[0], TransientError):
            errors[0].exhausted = True  # an enclosing task does not retry again
        raise errors.pop()  # Prefect keeps the task, which would keep the error and its frames alive
    return state.result()  # type: ignore[no-any-return]
