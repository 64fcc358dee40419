"""The stations of a night that train a model: to be measured, and to serve."""

from __future__ import annotations

from flows.night.night import Night, Result
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Phase, Training, write_request


def measure_station(night: Night, name: str) -> Result:
    """Train one model on the past and measure it on what came after."""
    from tasks.evaluation.holdout import make_holdout
    from tasks.evaluation.model_metrics import measure

    cut = night.record.station("holdout").facts["cut"]
    trained = train_model(night, name, "past")
    run = night.folder
    holdout = make_holdout(night.configuration, run.dataset, run.past, cut)
    rows = measure(night.configuration, run.past, trained.folder, holdout)
    cold = {"cold_users": holdout.cold_users, "cold_items": holdout.cold_items, "repeats": holdout.repeats}
    return Result(len(holdout.users), {**_place(trained), "metrics": rows, **cold})


def train_station(night: Night, name: str) -> Result:
    """Train one model on everything up to the date."""
    from tasks.dataset.parts import rows

    trained = train_model(night, name, "served")
    return Result(rows(night.folder.dataset, "users"), {**_place(trained), "seconds": trained.seconds})


def _place(trained: TrainedModel) -> dict[str, str | int | None]:
    """Return where a model was trained: its device, and its threads where they matter."""
    return {"device": trained.device, "threads": trained.threads}


def train_model(night: Night, name: str, phase: Phase) -> TrainedModel:
    """Have one model trained, wherever the night's models are; its warnings become the night's."""
    training = Training(night.folder, name, phase)
    write_request(training, night.configuration)
    trained = night.trainer(training, night.report)
    night.record.warn(*trained.warnings)
    return trained
