"""Which runs are settled: those without a process, but not the dates of a backfill that has one."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

pytestmark = pytest.mark.prefect


def begin(client: Any, deployment: UUID, flow: UUID, parent: UUID | None = None) -> UUID:
    """Create a running flow run of a deployment, of one task of `parent` if there is one."""
    from prefect import Task
    from prefect.client.schemas.actions import FlowRunCreate
    from prefect.states import Pending, Running, to_state_create

    content = FlowRunCreate(flow_id=flow, deployment_id=deployment, state=to_state_create(Running()))
    if parent is not None:
        task: Task[Any, Any] = Task(lambda: None, name="a date")
        tracked = client.create_task_run(task, parent, dynamic_key=uuid4().hex, state=Pending())
        content.parent_task_run_id = tracked.id
    created = client.request("POST", "/flow_runs/", json=content.model_dump(mode="json", exclude_unset=True))
    return UUID(created.json()["id"])


def test_a_date_lives_as_long_as_its_backfill(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client

    from flows.stack import settle

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(flow(name="settled")(lambda: None))
        deployment = client.create_deployment(flow_id=flow_id, name="settled", tags=["nightshelf"])
        living, dead = (begin(client, deployment, flow_id) for _ in range(2))
        date, orphan = (begin(client, deployment, flow_id, parent) for parent in (living, dead))

        def states() -> list[str]:
            return [client.read_flow_run(run).state.name for run in (living, date, dead, orphan)]

        monkeypatch.setattr(settle, "living_runs", lambda: {living})
        names = settle.settle_runs()
        assert states() == ["Running", "Running", "Crashed", "Crashed"]
        assert {client.read_flow_run(run).name for run in (dead, orphan)} <= {*names}
        message = client.read_flow_run(orphan).state.message
        assert "No process of this run is left" in message
        assert "while the run was Running" in message
        monkeypatch.setattr(settle, "living_runs", set)
        settle.settle_runs()
        assert states() == ["Crashed"] * 4
