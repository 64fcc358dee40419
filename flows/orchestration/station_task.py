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
from tasks.runtime.errors import EXPECTED, TransientError, can_pass
from tasks.runtime.progress import Report

T = TypeVar("T")
REPORT: ContextVar[Report | None] = ContextVar("report", default=None)
"""Where progress is shown; without it, in the flow run's log."""


def as_task(name: str, station: Callable[[], T]) -> T:
    """Run one station as a Prefect task.

    Nothing is cached or kept by Prefect: the record on disk is the truth. A mistake of the user fails the
    task with its message, without a traceback; one whose cause may pass is tried again first.
    """
    refused: list[Exception] = []

    def guarded() -> Any:
        refused.clear()
        try:
            return station()
        except EXPECTED as error:
            refused.append(error)
            return Failed(message=str(error))

    guarded.__doc__ = station.__doc__
    as_named = task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=ATTEMPTS - 1,
        retry_delay_seconds=WAITS,
        retry_jitter_factor=JITTER,
        retry_condition_fn=lambda *_: bool(refused) and can_pass(refused[0]),
    )
    state = as_named(guarded)(return_state=True)
    if refused:
        if isinstance(refused[0], TransientError):
            refused[0].spent = True  # a task around this one does not begin again
        raise refused.pop()  # Prefect keeps the task: what it holds, and the error its frames, would stay
    return state.result()  # type: ignore[no-any-return]
