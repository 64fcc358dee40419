"""The automations of a Prefect server: mark dead and stuck runs as crashed; notify of failed runs.

Messages go through a webhook of the server, not through hooks of the flows. The server also reports
runs that were killed and runs that never began, for which no hook runs. With both, each failure
would be reported twice.
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
MISSED = 3  # heartbeats a run may miss before it counts as dead
HEARTBEAT = 180  # seconds between two heartbeats by default
RUN = "prefect.flow-run"
ENDS = {f"{RUN}.{state}" for state in ("Completed", "Failed", "TimedOut", "Cancelled", "Crashed")}
OURS = ResourceSpecification({"prefect.resource.id": ["prefect.tag.nightshelf"]})
ALL = ResourceSpecification({})
WAITS = {f"{RUN}.{state}" for state in ("Pending", "Submitting", "InfrastructurePending", "Cancelling")}
BEGUN = {f"{RUN}.{state}" for state in ("Running", "Retrying", "AwaitingRetry", "Paused", "Suspended")}
BEGUN |= {f"{RUN}.{state}" for state in ("Scheduled", "Late", "AwaitingConcurrencySlot")}
STUCK = 1800  # seconds; images may have to be fetched
NOTIFIED = {
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
"""The posted body; chat programs show its `text`."""


def create_automations(webhook: str | None) -> list[str]:
    """Create the automations, or update those of the same names; return their names.

    `webhook` is the address that messages are posted to, kept as a secret block. Without it, runs
    are shown only in the UI, and there are no automations that would notify nobody. An automation that
    was switched off stays off. One that needs no change is left alone, since a change makes it forget
    the runs that it watches.
    """
    with get_client(sync_client=True) as client:
        automations = [_dead_runs(), _stuck_runs()]
        existing = {automation.name: automation for automation in client.read_automations()}
        if webhook:
            action = CallWebhook(block_document_id=_save_webhook(webhook), payload=MESSAGE)
            automations += [_notify(name, events, action) for name, events in NOTIFIED.items()]
        else:
            # one that was switched off stays, to be off when there is a webhook again
            off = {name for name in NOTIFIED if name in existing and not existing[name].enabled}
            automations += [_notify(name, NOTIFIED[name], DoNothing()) for name in NOTIFIED if name in off]
            for name in NOTIFIED.keys() & existing.keys() - off:
                client.delete_automation(existing[name].id)
        for automation in automations:
            before = existing.get(automation.name)
            if before is None:
                client.create_automation(automation)
                continue
            automation.enabled = before.enabled
            if _content(before) != _content(automation):
                client.update_automation(before.id, automation)
        if not webhook:
            _delete_webhook(client)  # last: an automation may have used it
    return [automation.name for automation in automations]


def _content(automation: AutomationCore) -> dict[str, Any]:
    """Return what an automation does, without the ids that the server gives it."""
    content = automation.model_dump(include=set(AutomationCore.model_fields))  # sets have no order
    content["trigger"].pop("id", None)
    return content


def _dead_runs() -> AutomationCore:
    """Return the automation that marks runs without heartbeats as crashed."""
    frequency = get_current_settings().flows.heartbeat_frequency or HEARTBEAT
    message = f"No heartbeat for {MISSED * frequency} s: the run was killed, or the machine it ran on."
    heartbeat = {f"{RUN}.heartbeat"}
    seconds = MISSED * frequency
    return _crash("nightshelf: dead runs", message, heartbeat, heartbeat | ENDS, seconds)


def _stuck_runs() -> AutomationCore:
    """Return the automation that marks runs as crashed that neither begin nor end."""
    message = (
        f"Nothing happened for {STUCK // 60} minutes after the run was submitted or cancelled: "
        "its worker was killed, or the machine."
    )
    return _crash("nightshelf: stuck runs", message, WAITS, BEGUN | ENDS, STUCK, related=OURS)


def _crash(
    name: str,
    message: str,
    after: set[str],
    expected: set[str],
    seconds: int,
    *,
    related: ResourceSpecification = ALL,
) -> AutomationCore:
    """Return an automation that marks runs as crashed if an event is not followed by an expected one."""
    trigger = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": [f"{RUN}.*"]}),
        match_related=related,
        for_each={"prefect.resource.id"},
        after=after,
        expect=expected,
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )
    return AutomationCore(
        name=name,
        description=message,
        trigger=trigger,
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def _notify(name: str, events: set[str], action: Any) -> AutomationCore:
    """Return the automation that acts on these events of Nightshelf's runs."""
    trigger = EventTrigger(
        match=ResourceSpecification({"prefect.resource.id": [f"{RUN}.*"]}),
        match_related=OURS,
        for_each={"prefect.resource.id"},
        expect=events,
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return AutomationCore(name=name, trigger=trigger, actions=[action])


def _save_webhook(webhook: str) -> UUID:
    """Save the address as a secret block of the server; return the block's id."""
    headers = SecretDict({"Content-Type": "application/json"})
    block: Any = Webhook(method="POST", url=SecretStr(webhook), headers=headers)
    saved: UUID = block.save(BLOCK, overwrite=True)
    return saved


def _delete_webhook(client: SyncPrefectClient) -> None:
    """Delete the address of an earlier start, if any."""
    try:
        block = client.read_block_document_by_name(BLOCK, "webhook", include_secrets=False)
    except ObjectNotFound:
        return
    client.delete_block_document(block.id)
