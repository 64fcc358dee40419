"""The station `model_artefacts`: a dataset in; trained models out, as arrays and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.dataset.arrays import load_dataset
from tasks.runtime.progress import Report
from tasks.store.files import writing

if TYPE_CHECKING:
    from models.options import Progress, TrainingOptions


@dataclass(frozen=True)
class TrainedModel:
    """A trained model on disk, with the device and the seconds of its training.

    `report` is what the model reported; `warnings` go into the manifest.
    """

    name: str
    folder: Path
    device: str
    seconds: float
    report: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def threads(self) -> int | None:
        """The number of threads the model depends on; None if any number gives the same model."""
        parts = self.report.get("parts", {})  # of a blend
        threads = (report.get("threads") for report in (self.report, *parts.values()))
        return max((int(number) for number in threads if number is not None), default=None)


def fit(  # noqa: PLR0917
    name: str,
    settings: Mapping[str, Any],
    dataset: Path,
    folder: Path,
    options: TrainingOptions,
    find_trained: Callable[[str], Path | None] = lambda _: None,
) -> TrainedModel:
    """Train one model and save it; ModelError if it refuses the settings or the data.

    `find_trained` returns the folder of a model that was already trained on the same dataset. A
    model made of other models adopts those instead of training them.
    """
    from models import artefact, registry
    from models.base import Composite

    model = registry.create(name, settings)
    if isinstance(model, Composite):
        for part, config in model.parts.items():
            trained_folder = find_trained(part)
            trained = artefact.load(trained_folder) if trained_folder else None
            if trained is not None and trained.config == config:
                model.adopt(trained)
    model.fit(load_dataset(dataset), options)
    with writing(folder):
        artefact.save(model, folder)
    device = str(model.report.get("device", "cpu"))
    return TrainedModel(name, folder, device, float(model.report.get("seconds", 0)), dict(model.report))


def checkpoint_folder(folder: Path) -> Path:
    """Return the folder of checkpoints, from which a killed training resumes."""
    return folder.with_name(f"{folder.name}-checkpoints")


def progress_callback(report: Report) -> Any:
    """Return the function that a model calls after each epoch; it passes progress to `report`."""

    def progress(step: Progress) -> None:
        figures = ", ".join(f"{key} {value:.4g}" for key, value in step.metrics.items())
        report(f"{step.model}{': ' if figures else ''}{figures}", step.epoch, step.epochs)

    return progress
