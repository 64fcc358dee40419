"""The station `model_artefacts`: a dataset in; trained models out, as arrays and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.configuration import Configuration
from tasks.dataset_arrays import load_dataset
from tasks.errors import UserError
from tasks.progress import Report, silent

if TYPE_CHECKING:
    from models.options import TrainingOptions


@dataclass(frozen=True)
class TrainedModel:
    """A model on disk: its name, its folder, the device it was trained on, and what training said."""

    name: str
    folder: Path
    device: str
    seconds: float
    report: Mapping[str, Any]


def train(
    configuration: Configuration, name: str, dataset: Path, folder: Path, report: Report = silent
) -> TrainedModel:
    """Train one model on a dataset on disk and save it under `folder`.

    Checkpoints are kept beside it while it trains, so that a killed training goes on where it was.

    Raises
    ------
    UserError
        If the model cannot be trained on this data; the message is the model's.
    """
    from models import artefact, registry
    from models.base import ModelError

    options = _options(configuration, name, folder.with_name(f"{folder.name}-checkpoints"), report)
    try:
        model = registry.create(name, configuration.models.get(name, {}))
        model.fit(load_dataset(dataset), options)
        artefact.save(model, folder)
    except ModelError as error:
        raise UserError(f"model {name} cannot be trained: {error}") from error
    device = str(model.report.get("device", "cpu"))
    return TrainedModel(name, folder, device, float(model.report.get("seconds", 0)), dict(model.report))


def _options(configuration: Configuration, name: str, checkpoints: Path, report: Report) -> TrainingOptions:
    from models.options import Progress, TrainingOptions

    def progress(step: Progress) -> None:
        figures = ", ".join(f"{key} {value:.4g}" for key, value in step.metrics.items())
        report(f"{name}{': ' if figures else ''}{figures}", step.epoch, step.epochs)

    return TrainingOptions(
        device=configuration.train.device,
        seed=configuration.train.seed,
        threads=configuration.engine.threads,
        checkpoints=checkpoints,
        progress=progress,
    )
