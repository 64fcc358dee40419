"""The automations of a Prefect server: dead runs marked as crashed; failed and late ones told of.

A message goes out through a webhook of the server, not through hooks of the flows: a server tells of runs
that were killed and of runs that never began, where no hook is run; with both, each failure is told twice.
"""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.automations import (
    AutomationCore,
    CallWebhook,
    ChangeFlowRunState,
    DoNothing,
    EventTrigger,
    Posture,
    ResourceSpecification,
)
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.types import SecretDict
from pydantic import SecretStr

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

BLOCK = "nightshelf-webhook"
MISSED = 3  # heartbeats that a run may miss before it counts as dead
HEARTBEAT = 180  # seconds between two, where Prefect is not told otherwise
RUN = "prefect.flow-run"
ENDS = {f"{RUN}.{state}" for state in ("Completed", "Failed", "TimedOut", "Cancelled", "Crashed")}
TOLD = {
    "nightshelf: failed runs": {f"{RUN}.Failed", f"{RUN}.TimedOut"},
    "nightshelf: crashed runs": {f"{RUN}.Crashed"},
    "nightshelf: late runs": {f"{RUN}.Late"},
}
MESSAGE = """{
  "text": {{ (flow.name ~ ": " ~ flow_run.name ~ " is " ~ flow_run.state.name) | tojson }},
  "flow": {{ flow.name | tojson }},
  "flow_run": {{ flow_run.name | tojson }},
  "flow_run_id": {{ (flow_run.id | string) | tojson }},
  "state": {{ flow_run.state.name | tojson }},
  "message": {{ (flow_run.state.message or "") | tojson }},
  "url": {{ (flow_run | ui_url) | tojson }}
}"""
"""What is posted; `text` is what chat programs show."""


def create_automations(webhook: str | None) -> list[str]:
    """Create the automations, or bring those of the same names up to date; return their names.

    `webhook` is the address that messages are posted to; without it runs are only shown in the UI. It is kept
    as a secret block. An automation that a person switched off stays off.
    """
    with get_client(sync_client=True) as client:
        action: Any = DoNothing()
        if webhook:
            action = CallWebhook(block_document_id=_kept(webhook), payload=MESSAGE)
        wanted = [_dead_runs(), *(_told(name, events, action) for name, events in TOLD.items())]
        there = {one.name: one for one in client.read_automations()}
        for automation in wanted:
            found = there.get(automation.name)
            if found is None:
                client.create_automation(automation)
            else:
                automation.enabled = found.enabled
                client.update_automation(found.id, automation)
        if not webhook:
            _forget_webhook(client)  # last: an automation may have used it
    return [automation.name for automation in wanted]


def _dead_runs() -> AutomationCore:
    """Return what marks a run as crashed that has sent no heartbeat for a while."""
    frequency = get_current_settings().flows.heartbeat_frequency or HEARTBEAT
    trigger = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": [f"{RUN}.*"]}),
        for_each={"prefect.resource.id"},
        after={f"{RUN}.heartbeat"},
        expect={f"{RUN}.heartbeat", *ENDS},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=MISSED * frequency),
    )
    message = f"No heartbeat for {MISSED * frequency} s: the run was killed, or the machine it ran on."
    return AutomationCore(
        name="nightshelf: dead runs",
        description=message,
        trigger=trigger,
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def _told(name: str, events: set[str], action: Any) -> AutomationCore:
    """Return what tells of every run of ours to which one of these events happens."""
    trigger = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": [f"{RUN}.*"]}),
        match_related=ResourceSpecification({"prefect.resource.id": ["prefect.tag.nightshelf"]}),
        for_each={"prefect.resource.id"},
        expect=events,
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return AutomationCore(name=name, trigger=trigger, actions=[action])


def _kept(webhook: str) -> UUID:
    """Keep the address as a secret block of the server; return the block's id."""
    headers = SecretDict({"Content-Type": "application/json"})
    block: Any = Webhook(method="POST", url=SecretStr(webhook), headers=headers)
    saved: UUID = block.save(BLOCK, overwrite=True)
    return saved


def _forget_webhook(client: SyncPrefectClient) -> None:
    """Remove the address of an earlier start, if there is one."""
    try:
        block = client.read_block_document_by_name(BLOCK, "webhook", include_secrets=False)
    except ObjectNotFound:
        return
    client.delete_block_document(block.id)
