"""The best that a search finds on a log in a given time, as a user would run it.

Each model that has a search space gets an equal part of the time with ``nightshelf tune``, on
windows before the holdout. The model and settings that are best there are then trained on all
events before the holdout and measured on it, which no search has read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import registry
from models.options import TrainingOptions
from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import load_dataset
from tasks.evaluation.holdout import Holdout
from tasks.store.run_folder import RunFolder

TRIALS = 10_000  # the time ends a search
COMMAND = [sys.executable, "-c", "from flows.command_line import app; app()"]


@dataclass(frozen=True)
class Tuned:
    """The best model of a search: its settings, trials of all models, and lists of the holdout."""

    model: str
    settings: dict[str, Any]
    trials: int
    lists: npt.NDArray[np.int32]


def best_by_search(
    config: Path, configuration: Configuration, run: RunFolder, holdout: Holdout, minutes: float
) -> Tuned:
    """Search every tunable model of the night; return the best, measured on the holdout."""
    data = load_dataset(run.past)  # later runs remove the folder
    names = [name for name in configuration.in_training_order if registry.model_class(name).space]
    results = {name: search(name, config, run.as_of, minutes / len(names)) for name in names}
    results = {name: result for name, result in results.items() if result}
    scores = {name: max(result["best_score"], result["configured_score"]) for name, result in results.items()}
    best = max(scores, key=lambda name: scores[name])
    improved = results[best]["best_score"] > results[best]["configured_score"]
    settings = dict(results[best]["best"]) if improved else {}
    model = registry.create(best, registry.config(best, configuration.models.get(best, {}) | settings))
    train, resources = configuration.train, configuration.resources
    with resources.applied():
        options = TrainingOptions(train.device, train.seed, threads=resources.threads)
        model.fit(data, options)
        lists = holdout.lists(model, holdout.cuts([20])[-1], resources)
    return Tuned(best, settings, sum(sum(result["trials"].values()) for result in results.values()), lists)


def search(model: str, config: Path, as_of: date, minutes: float) -> dict[str, Any]:
    """Run ``nightshelf tune`` on a log's past windows; return its JSON, empty without a whole trial."""
    command = [*COMMAND, "tune", model, "--config", str(config), "--as-of", str(as_of), "--json"]
    command += ["--trials", str(TRIALS), "--minutes", str(minutes)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if "no trial was completed" in finished.stderr:
        return {}
    if finished.returncode:
        raise RuntimeError(f"tune {model}: {finished.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(finished.stdout)
    return result
