"""The station `model_artefacts`: a dataset in; trained models out, as arrays and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.dataset.arrays import load_dataset
from tasks.runtime.errors import TrainingError
from tasks.runtime.progress import Report, silent
from tasks.store.files import writing

if TYPE_CHECKING:
    from models.options import Progress, TrainingOptions
    from tasks.configuration.configuration import Configuration


@dataclass(frozen=True)
class TrainedModel:
    """A model on disk: its name, its folder, the device it was trained on, and what training said.

    `warnings` are about this training, for the manifest.
    """

    name: str
    folder: Path
    device: str
    seconds: float
    report: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def threads(self) -> int | None:
        """The threads that the training depends on, None where any number gives the same model."""
        parts = self.report.get("parts", {})  # of a blend
        found = (report.get("threads") for report in (self.report, *parts.values()))
        return max((int(one) for one in found if one is not None), default=None)


def train(
    configuration: Configuration, name: str, dataset: Path, folder: Path, report: Report = silent
) -> TrainedModel:
    """Train one model in this process, on a dataset on disk, and save it under `folder`.

    A night trains in a child process instead: `tasks/training/train.py`.

    Raises
    ------
    TrainingError
        If the model cannot be trained on this data; the message is the model's.
    """
    from models.errors import ModelError
    from models.options import TrainingOptions

    options = TrainingOptions(
        device=configuration.train.device,
        seed=configuration.train.seed,
        threads=configuration.engine.threads,
        checkpoints=checkpoints_of(folder),
        progress=shown_by(report),
    )
    try:
        return fit(name, configuration.settings_of(name), dataset, folder, options)
    except ModelError as error:
        raise TrainingError(f"model {name} cannot be trained: {error}") from error


def fit(  # noqa: PLR0917
    name: str,
    settings: Mapping[str, Any],
    dataset: Path,
    folder: Path,
    options: TrainingOptions,
    beside: Callable[[str], Path | None] = lambda _: None,
) -> TrainedModel:
    """Train one model and save it; ModelError if it refuses.

    `beside` tells where a model of that name lies that was trained on the same dataset: one that is made of
    others then takes it.
    """
    from models import artefact, registry
    from models.base import Composite

    model = registry.create(name, settings)
    if isinstance(model, Composite):
        for part, config in model.parts.items():
            there = beside(part)
            trained = artefact.load(there) if there else None
            if trained is not None and trained.config == config:
                model.adopt(trained)
    model.fit(load_dataset(dataset), options)
    with writing(folder):
        artefact.save(model, folder)
    device = str(model.report.get("device", "cpu"))
    return TrainedModel(name, folder, device, float(model.report.get("seconds", 0)), dict(model.report))


def checkpoints_of(folder: Path) -> Path:
    """Return where checkpoints are kept, beside the artefact, so that a killed training goes on."""
    return folder.with_name(f"{folder.name}-checkpoints")


def shown_by(report: Report) -> Any:
    """Return what a model calls after every epoch, for a report that takes words and numbers."""

    def progress(step: Progress) -> None:
        figures = ", ".join(f"{key} {value:.4g}" for key, value in step.metrics.items())
        report(f"{step.model}{': ' if figures else ''}{figures}", step.epoch, step.epochs)

    return progress
