"""Training by a Prefect deployment, for example on a GPU machine, while the night waits."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, Final

import httpx
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from tasks.configuration.configuration import Configuration
from tasks.runtime.errors import TrainingError, TrainingLostError, UserError
from tasks.runtime.progress import Report
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Training
from tasks.training.train import Trainer, finished

LOG = logging.getLogger("nightshelf")
POLL_SECONDS: Final = 2.0
SILENCE: Final = 60  # polls without an answer from the server before the training counts as lost


def deployment_trainer(configuration: Configuration) -> Trainer | None:
    """Return the trainer of a night run by Prefect; None: the night trains in child processes."""
    deployment = configuration.train.deployment
    return None if deployment is None else partial(train_by_deployment, deployment)


def train_by_deployment(deployment: str, training: Training, report: Report) -> TrainedModel:
    """Train one model by a deployment and wait; cancel its flow run if this process ends first.

    A flow run left by an earlier attempt at the same training is awaited, not duplicated.

    Raises
    ------
    TrainingLostError
        If the flow run crashed: a retry may succeed, and continues from the checkpoint.
    TrainingError
        If it failed, after its own retries.
    UserError
        If it was cancelled, or the server knows no such deployment.
    """
    trained = finished(training)
    if trained is not None:
        return trained
    run = _submit(deployment, training)
    with _cancel_if_interrupted(run):
        state = _wait_for(run, training, report)
    name, message = f"the flow run {run.name} that trains {training.model}", state.message or "no message"
    if state.is_completed():
        trained = finished(training)
        if trained is None:
            store = training.run.store.root
            raise TrainingError(f"{name} completed, but left no model: does its worker see {store}?")
        return trained
    if state.is_cancelled():
        raise UserError(f"{name} was cancelled: {message}")
    if state.is_crashed():
        raise TrainingLostError(f"{name} crashed: {message}")
    raise TrainingError(f"{name} failed: {message}")


def _submit(deployment: str, training: Training) -> FlowRun:
    """Return an unfinished flow run for this training: an existing one, or a new one."""
    parameters = {
        "store": str(training.run.store.root),
        "as_of": str(training.run.as_of),
        "run_id": training.run.run_id,
        "model": training.model,
        "phase": training.phase,
        "contender": training.contender,
    }
    key = "-".join([training.run.run_id, training.phase, training.artefact.name, training.digest()])
    for number in count(1):
        try:
            run: Any = run_deployment(
                deployment,
                parameters=parameters,
                timeout=0,
                idempotency_key=f"{key}-{number}",
                tags=["train-models", str(training.run.as_of), f"model {training.model}"],
            )
        except ObjectNotFound:
            raise UserError(
                f"[train] deployment: the Prefect server knows no deployment {deployment!r}: deploy it, or "
                "leave the key out to train in child processes of the night"
            ) from None
        if run.state is None or not run.state.is_final():
            break
    LOG.info("%s is trained by the flow run %s of %s", training.model, run.name, deployment)
    return run  # type: ignore[no-any-return]


@contextmanager
def _cancel_if_interrupted(run: FlowRun) -> Iterator[None]:
    """Cancel the flow run if this process is interrupted, cancelled or fails before it ends."""
    try:
        yield
    except BaseException:
        LOG.warning("the flow run %s is cancelled, because the run that waits for it ends", run.name)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Cancelling())
        raise


def _wait_for(run: FlowRun, training: Training, report: Report) -> State[Any]:
    """Wait for a flow run, reporting its state; return the final state."""
    unanswered = 0
    with get_client(sync_client=True) as client:
        while True:
            try:
                state = client.read_flow_run(run.id).state
                unanswered = 0
            except httpx.TransportError as error:
                unanswered += 1
                if unanswered >= SILENCE:
                    raise TrainingLostError(f"the Prefect server does not answer: {error}") from error
                state = None
            if state is not None:
                if state.is_final():
                    return state
                report(f"{training.model}: flow run {run.name} is {state.type.value.lower()}", 0, 0)
            time.sleep(POLL_SECONDS)
