"""The flow that trains one model of a run, on a machine equipped for training."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - before Prefect, which reads what it sets

# isort: split
import logging
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, runtime
from pydantic import Field

from flows.night.retries import log_retries
from flows.orchestration.artifacts import show_flow
from flows.orchestration.mistakes import failed
from flows.orchestration.station_task import REPORT, as_task
from flows.output.progress import log_progress
from tasks.runtime.errors import EXPECTED_ERRORS, UserError
from tasks.runtime.progress import Report
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder
from tasks.store.runs import station_name
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Phase, Training, read_request
from tasks.training.train import train_in_child

LOG = logging.getLogger("nightshelf")


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    return f"train {parameters.get('model')} {parameters.get('as_of')}"


@flow(name="train-models", flow_run_name=_run_name, persist_result=False)
def train_models(  # noqa: PLR0917
    store: Annotated[str, Field(description="Path of the store, as this worker sees it.")],
    as_of: Annotated[date, Field(description="The date of the run.")],
    run_id: Annotated[str, Field(description="The run whose dataset is trained on.")],
    model: Annotated[str, Field(description="The model to train.")],
    phase: Annotated[
        Phase,
        Field(
            description="past: without the last events, for measurement. served: on everything. eve: on "
            "what the release before had, as an incumbent or a challenger."
        ),
    ] = "served",
    contender: Annotated[
        int, Field(ge=0, description="The number of a challenger in the phase eve, 0 for the incumbent.")
    ] = 0,
) -> Any:
    """Train one model by the request in the run's folder; the nightly run waits for it.

    Args:
        store: Path of the store, as this worker sees it.
        as_of: The date of the run.
        run_id: The run whose dataset is trained on, as in runs/<date>/<run id> of the store.
        model: The model to train.
        phase: past: without the last events, for measurement. served: on everything up to the date.
            eve: on what the release before had, as an incumbent or a challenger.
        contender: The number of a challenger in the phase eve, 0 for the incumbent.
    """
    try:
        training = requested_training(store, as_of, run_id, model, phase, contender)
        with show_flow(training.run.store.root, REPORT.get() or log_progress(LOG)) as report:
            trained = _train(training, report)
    except EXPECTED_ERRORS as error:
        return failed(str(error))
    return f"{model} trained on {trained.device} in {trained.seconds:.0f} s"


def _train(training: Training, report: Report) -> TrainedModel:
    """Train as a task that is retried after a kill; its warnings accompany the model."""
    name, warnings = station_name("train", training.model), list[str]()

    def train() -> TrainedModel:
        return train_in_child(training, report, warnings=warnings)

    return as_task(name, log_retries(name, train, warnings.append))


def requested_training(  # noqa: PLR0917
    store: str, as_of: date, run_id: str, model: str, phase: Phase, contender: int = 0
) -> Training:
    """Return the requested training; UserError if the run did not request it."""
    run = RunFolder(Store(Path(store)), as_of, run_id)
    if not run.root.is_dir():
        raise UserError(f"there is no run {run_id} for {as_of} in the store {run.store.root}")
    training = Training(run, model, phase, contender)
    request = read_request(training.file)
    if request.model != model:
        raise UserError(f"{training.file}: expected a request for {model}, got one for {request.model}")
    return training
