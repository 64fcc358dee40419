"""Training by a Prefect deployment, on a machine that has what training needs; the night waits for it."""

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
SILENCE: Final = 60  # polls without an answer of the server before the training is given up as lost


def routed(configuration: Configuration) -> Trainer | None:
    """Return what trains the models of a night run by Prefect; None: processes of its own."""
    deployment = configuration.train.deployment
    return None if deployment is None else partial(train_by_deployment, deployment)


def train_by_deployment(deployment: str, training: Training, report: Report) -> TrainedModel:
    """Have a deployment train one model, and wait; if this is ended meanwhile, that flow run is cancelled.

    A flow run that an earlier try of this very training left running is waited for, not doubled.

    Raises
    ------
    TrainingLostError
        If the flow run crashed: another is worth a try, and goes on from the checkpoint.
    TrainingError
        If it failed; it has made its own tries.
    UserError
        If somebody cancelled it, or the server knows no such deployment.
    """
    done = finished(training)
    if done is not None:
        return done
    run = _submitted(deployment, training)
    with _ended_together(run):
        state = _awaited(run, training, report)
    name, message = f"the flow run {run.name} that trains {training.model}", state.message or "no message"
    if state.is_completed():
        done = finished(training)
        if done is None:
            where = training.run.store.root
            raise TrainingError(f"{name} completed, but no model is there: does its worker see {where}?")
        return done
    if state.is_cancelled():
        raise UserError(f"{name} was cancelled: {message}")
    if state.is_crashed():
        raise TrainingLostError(f"{name} crashed: {message}")
    raise TrainingError(f"{name} failed: {message}")


def _submitted(deployment: str, training: Training) -> FlowRun:
    """Return a flow run that is not over: one that was begun for this very training, or a new one."""
    parameters = {
        "store": str(training.run.store.root),
        "as_of": str(training.run.as_of),
        "run_id": training.run.run_id,
        "model": training.model,
        "phase": training.phase,
    }
    key = "-".join([training.run.run_id, training.phase, training.model, training.digest()])
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
                "leave the key out to train in processes of the night"
            ) from None
        if run.state is None or not run.state.is_final():
            break
    LOG.info("%s is trained by the flow run %s of %s", training.model, run.name, deployment)
    return run  # type: ignore[no-any-return]


@contextmanager
def _ended_together(run: FlowRun) -> Iterator[None]:
    """Cancel the flow run if this process is interrupted, cancelled or fails before that is over."""
    try:
        yield
    except BaseException:
        LOG.warning("the flow run %s is cancelled, as what waits for it ends", run.name)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Cancelling())
        raise


def _awaited(run: FlowRun, training: Training, report: Report) -> State[Any]:
    """Return the final state of a flow run; how it is doing is reported meanwhile."""
    silent = 0
    with get_client(sync_client=True) as client:
        while True:
            try:
                state = client.read_flow_run(run.id).state
                silent = 0
            except httpx.TransportError as error:
                silent += 1
                if silent >= SILENCE:
                    raise TrainingLostError(f"the Prefect server does not answer: {error}") from error
                state = None
            if state is not None:
                if state.is_final():
                    return state
                report(f"{training.model}: flow run {run.name} is {state.type.value.lower()}", 0, 0)
            time.sleep(POLL_SECONDS)
