"""Settle flow runs whose process is gone: they would stay Running, Pending or Cancelling for ever.

Only a server whose runs are all on this machine can tell: `nightshelf up` settles before it starts
the workers.
"""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled, Crashed

from flows.stack.processes import living_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

UNSETTLED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
MESSAGE = (
    "No process of this run is left: the machine or the run was killed while the run was {state}. "
    "Run its date again; `nightshelf run --resume` continues after the last finished station."
)


def settle_runs() -> list[str]:
    """End the runs of our deployments, and their subflows, whose process is gone; return their names."""
    settled = []
    with get_client(sync_client=True) as client:
        alive = living_runs()
        runs = [run for run in _unsettled_runs(client) if not _lives(client, run, alive)]
        while runs:
            for run in runs:
                name = run.state.name if run.state else "unknown"
                end = Cancelled if run.state and run.state.type == StateType.CANCELLING else Crashed
                client.set_flow_run_state(run.id, end(message=MESSAGE.format(state=name)), force=True)
                _settle_tasks(client, run.id)
                settled.append(run.name)
            runs = list(_unsettled_runs(client, [run.id for run in runs]))
    return settled


def _lives(client: SyncPrefectClient, run: FlowRun, alive: Collection[UUID]) -> bool:
    """Return whether a run has a process: its own, or as a date of a backfill that of its parent."""
    if run.id in alive:
        return True
    if run.infrastructure_pid or run.parent_task_run_id is None:
        return False
    return client.read_task_run(run.parent_task_run_id).flow_run_id in alive


def _settle_tasks(client: SyncPrefectClient, run_id: UUID) -> None:
    """End the tasks of a run, which the UI would show as running."""
    run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    state = TaskRunFilterState(type=TaskRunFilterStateType(any_=UNSETTLED))
    unsettled = TaskRunFilter(state=state)
    while tasks := client.read_task_runs(flow_run_filter=run, task_run_filter=unsettled):
        for task in tasks:
            client.set_task_run_state(task.id, Crashed(message="No process of its run is left."), force=True)


def _unsettled_runs(client: SyncPrefectClient, parents: list[UUID] | None = None) -> Iterator[FlowRun]:
    """Yield the runs of our deployments that have begun and not ended, or the subflows of `parents`."""
    runs = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNSETTLED)))
    which: dict[str, Any] = {}
    if parents is None:
        which = {"deployment_filter": DeploymentFilter(tags=DeploymentFilterTags(all_=["nightshelf"]))}
    else:
        runs.parent_flow_run_id = FlowRunFilterParentFlowRunId(any_=parents)
    pages: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=runs, offset=len(pages), **which):
        pages += page  # all of them first: a settled run leaves its page
    yield from pages
