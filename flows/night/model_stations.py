"""The stations that train a model: to measure it, and to serve it."""

from __future__ import annotations

from typing import Any

from flows.night.night import Night, Result
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Phase, Training, write_request


def measure_station(night: Night, name: str) -> Result:
    """Train one model on the past and measure it on the events that followed."""
    from tasks.evaluation.holdout import make_holdout
    from tasks.evaluation.model_metrics import list_metrics, measure

    cut = night.record.station("holdout").facts["cut"]
    trained = train_model(night, name, "past")
    run = night.folder
    holdout = make_holdout(night.configuration, run.dataset, run.past, cut)
    rows = measure(night.configuration, trained.folder, holdout)
    shown = list_metrics(night.configuration, trained.folder, holdout)
    cold = {"cold_users": holdout.cold_users, "cold_items": holdout.cold_items, "repeats": holdout.repeats}
    return Result(
        len(holdout.users), {**_training_facts(trained), "metrics": rows, "list_metrics": shown, **cold}
    )


def train_station(night: Night, name: str) -> Result:
    """Train one model on everything up to the date."""
    from tasks.dataset.parts import rows

    trained = train_model(night, name, "served")
    return Result(
        rows(night.folder.dataset, "users"), {**_training_facts(trained), "seconds": trained.seconds}
    )


def _training_facts(trained: TrainedModel) -> dict[str, Any]:
    """Return the device that trained a model, the threads if they affect its result, and a half-life."""
    facts: dict[str, Any] = {"device": trained.device, "threads": trained.threads}
    if "half_life_days" in trained.report:
        facts["half_life_days"] = trained.report["half_life_days"]
    return facts


def train_model(night: Night, name: str, phase: Phase) -> TrainedModel:
    """Train one model with the night's trainer; its warnings become the night's."""
    training = Training(night.folder, name, phase)
    write_request(training, night.tuned, night.plan.settings.get(name))
    trained = night.trainer(training, night.report)
    night.record.warn(*trained.warnings)
    return trained
