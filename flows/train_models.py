"""The flow that trains one model of a run, on a machine that has what training needs."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, runtime
from prefect.states import Failed
from pydantic import Field

from flows.night.retries import tried
from flows.orchestration.artifacts import flow_shown
from flows.orchestration.station_task import REPORT, as_task
from flows.output.progress import logged
from tasks.runtime.errors import EXPECTED, UserError
from tasks.runtime.progress import Report
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder
from tasks.store.runs import station_name
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Training, read_request
from tasks.training.train import train_in_child

LOG = logging.getLogger("nightshelf")


def _run_name() -> str:
    given = runtime.flow_run.parameters
    return f"train {given.get('model')} {given.get('as_of')}"


@flow(name="train-models", flow_run_name=_run_name, persist_result=False)
def train_models(
    store: Annotated[str, Field(description="Path of the store, as this worker sees it.")],
    as_of: Annotated[date, Field(description="The date of the run.")],
    run_id: Annotated[str, Field(description="The run whose dataset is trained on.")],
    model: Annotated[str, Field(description="The model to train.")],
    phase: Annotated[
        Literal["past", "served"],
        Field(description="past: without the last events, to be measured. served: on everything."),
    ] = "served",
) -> Any:
    """Train one model as the request in the run's folder says; the nightly run asks for it and waits.

    Args:
        store: Path of the store, as this worker sees it.
        as_of: The date of the run.
        run_id: The run whose dataset is trained on, as in runs/<date>/<run id> of the store.
        model: The model to train.
        phase: past: without the last events, to be measured. served: on everything up to the date.
    """
    try:
        training = checked(store, as_of, run_id, model, phase)
        with flow_shown(training.run.store.root, REPORT.get() or logged(LOG)) as report:
            trained = _trained(training, report)
    except EXPECTED as error:
        return Failed(message=str(error))
    return f"{model} trained on {trained.device} in {trained.seconds:.0f} s"


def _trained(training: Training, report: Report) -> TrainedModel:
    """Train as a task, which is tried again after a kill; its warnings go with the model."""
    name, warnings = station_name("train", training.model), list[str]()

    def train() -> TrainedModel:
        return train_in_child(training, report, warnings=warnings)

    return as_task(name, tried(name, train, warnings.append))


def checked(store: str, as_of: date, run_id: str, model: str, phase: Literal["past", "served"]) -> Training:
    """Return the training that is asked for; UserError unless the run asked for it."""
    run = RunFolder(Store(Path(store)), as_of, run_id)
    if not run.root.is_dir():
        raise UserError(f"there is no run {run_id} for {as_of} in the store {run.store.root}")
    training = Training(run, model, phase)
    request = read_request(training.file)
    if request.model != model:
        raise UserError(f"{training.file}: expected a request for {model}, got one for {request.model}")
    return training
