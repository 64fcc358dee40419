"""The stations that train a model: to measure it, and to serve it."""

from __future__ import annotations

from typing import Any

from flows.night.night import Night, Result
from tasks.training.artefacts import TrainedModel
from tasks.training.request import Phase, Training, write_request
from tasks.training.train import learned_settings


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
    """Train one model with the night's trainer; its warnings become the night's.

    What serves has the half-life and weights that the measured model learned: learned again from
    all events, they could be others, which nobody has measured.
    """
    training = Training(night.folder, name, phase)
    settings = dict(night.plan.settings.get(name, {}))
    if phase == "served":
        settings |= learned_settings(Training(night.folder, name, "past"))
    write_request(training, night.tuned, settings)
    trained = night.trainer(training, night.report)
    night.record.warn(*trained.warnings)
    return trained
