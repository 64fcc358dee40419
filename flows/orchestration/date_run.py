"""A date of a backfill as a flow run of its own, which can be cancelled alone."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect import Task, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Pending, Running, to_state_create

from flows.orchestration.artifacts import create_artifacts_after
from flows.orchestration.limits import hold_date_limit
from flows.orchestration.mistakes import failed
from flows.orchestration.station_task import as_task
from tasks.configuration.configuration import Configuration
from tasks.runtime.errors import EXPECTED_ERRORS, DateCancelledError
from tasks.runtime.progress import Report
from tasks.store.layout import LOCK_WAIT

T = TypeVar("T")
Cancel = Callable[[date], None]
LOG = logging.getLogger("nightshelf")
ASKED_EVERY = 2.0  # seconds between two looks at whether a date is cancelled
CANCELLING: ContextVar[threading.Event | None] = ContextVar("cancelling", default=None)
"""Is set once the date of this context is cancelled."""


def run_as_flow(configuration: Configuration, cancel: Cancel, name: str, work: Callable[[], T]) -> T:
    """Run one date as a flow run, once it runs nowhere else; `name` ends with the date.

    Raises what `work` does, and DateCancelledError if the flow run was cancelled, in the UI or by
    whatever else tells the server. `cancel` is called then, and ends the date's processes.
    """
    as_of = date.fromisoformat(name[-10:])
    results: list[T] = []
    errors: list[BaseException] = []

    def one_date() -> Any:
        """Publish one date of a backfill."""
        with _watched(partial(cancel, as_of)) as cancelling:
            try:
                held = hold_date_limit(configuration.store.path, as_of, wait=LOCK_WAIT)
                with held, create_artifacts_after(configuration, as_of):
                    results.append(work())
            except DateCancelledError as error:
                errors.append(error)
            except EXPECTED_ERRORS as error:
                errors.append(error)
        if cancelling.is_set() or (errors and isinstance(errors[0], DateCancelledError)):
            end = "was published before it could be cancelled" if results else "was cancelled"
            return Cancelled(message=f"{as_of} {end}")
        return failed(str(errors[0])) if errors else None

    as_flow = flow(name="backfill of one date", flow_run_name=name, persist_result=False)(one_date)
    state: Any = run_flow(as_flow, flow_run=_run_of_the_deployment(as_of, name), return_type="state")
    if results:
        return results[0]
    if errors:
        raise errors[0]
    if state.is_cancelled() or state.is_cancelling():
        raise DateCancelledError
    state.result()  # raises what the date ended by
    raise RuntimeError(f"{name} ended without a result: {state.message}")


def _run_of_the_deployment(as_of: date, name: str) -> FlowRun | None:
    """Create the date's run as one of the backfill's deployment; None if that has none.

    The UI cancels no run without a deployment. Its parameters are those of a backfill of this date
    alone, which is what a worker makes of the run if somebody retries it. It begins as running, so
    that it waits for no limit of the deployment, which the backfill itself may hold.
    """
    context = FlowRunContext.get()
    parent = context.flow_run if context else None
    if parent is None or parent.deployment_id is None:
        return None
    day = str(as_of)
    with get_client(sync_client=True) as client:
        tracked = client.create_task_run(
            Task(lambda: None, name=name), parent.id, dynamic_key=uuid4().hex, name=name, state=Pending()
        )
        content = FlowRunCreate(
            name=name,
            flow_id=parent.flow_id,
            deployment_id=parent.deployment_id,
            parent_task_run_id=tracked.id,
            parameters=parent.parameters | {"start": day, "end": day, "max_parallel": 1},
            tags=parent.tags,
            state=to_state_create(Running()),
        )
        created = client.request(
            "POST", "/flow_runs/", json=content.model_dump(mode="json", exclude_unset=True)
        )
    return FlowRun.model_validate(created.json() | {"parameters": {}})  # here, they are for nobody


def step_unless_cancelled(name: str, station: Callable[[], T]) -> T:
    """Run a station of a date in this process as a task; DateCancelledError if the date is cancelled."""
    _require_wanted()
    return as_task(name, station)


def report_unless_cancelled(report: Report, doing: str, done: float, of: float) -> None:
    """Report progress of a date in this process; DateCancelledError if the date is cancelled."""
    _require_wanted()
    report(doing, done, of)


def _require_wanted() -> None:
    cancelling = CANCELLING.get()
    if cancelling is not None and cancelling.is_set():
        raise DateCancelledError


@contextmanager
def _watched(cancel: Callable[[], None]) -> Iterator[threading.Event]:
    """Look whether the present flow run is cancelled; yield what is set then, after calling `cancel`."""
    context = FlowRunContext.get()
    assert context is not None  # noqa: S101 - this is called inside a flow
    assert context.flow_run is not None  # noqa: S101
    cancelling, ended = threading.Event(), threading.Event()
    arguments = (context.flow_run.id, cancelling, ended, cancel)
    here = contextvars.copy_context()  # the thread uses the same server
    watch = threading.Thread(target=here.run, args=(_watch, *arguments), name="cancelling", daemon=True)
    token = CANCELLING.set(cancelling)
    watch.start()
    try:
        yield cancelling
    finally:
        CANCELLING.reset(token)
        ended.set()
        watch.join()


def _watch(
    run: UUID, cancelling: threading.Event, ended: threading.Event, cancel: Callable[[], None]
) -> None:
    """Ask until the end whether the run is cancelled; a server that is away is asked again."""
    with get_client(sync_client=True) as client:
        while not ended.wait(ASKED_EVERY):
            try:
                state = client.read_flow_run(run).state
            except httpx.HTTPError as error:
                LOG.debug("the state of the date's run cannot be read: %s", error)
                continue
            if state is not None and (state.is_cancelling() or state.is_cancelled()):
                cancelling.set()
            if cancelling.is_set():
                cancel()  # again and again: its process may just begin
