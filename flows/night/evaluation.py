"""Evaluations on the configured logs: as a night measures, or on its dataset split in another way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from flows.night.night import Night
from flows.night.run import dataset_only, evaluate_only
from tasks.configuration.configuration import Configuration
from tasks.evaluation.evaluation import Evaluation, of_arrays, of_night
from tasks.runtime.progress import Report, silent


def measured_night(configuration: Configuration, as_of: date, report: Report = silent) -> Evaluation:
    """Train the configured models without the last events, in child processes, and measure them on these."""
    from tasks.evaluation.holdout import make_holdout

    found: list[Evaluation] = []

    def then(night: Night) -> None:
        cut = night.record.station("holdout").facts["cut"]
        run = night.folder
        holdout = make_holdout(configuration, run.dataset, run.past, cut)
        artefacts = {
            name: run.past_model(name)
            for name in configuration.train.models
            if (run.past_model(name) / "artefact.json").is_file()  # one that failed alone has none
        }
        found.append(of_night(configuration, artefacts, holdout))
        found[0].warnings += night.record.warnings
        for name, (measured,) in found[0].measured.items():
            seconds = night.record.station("measure", name).seconds
            found[0].measured[name] = [replace(measured, seconds=seconds)]

    evaluate_only(configuration, as_of, report=report, then=then)
    return found[0]


def measured_split(
    configuration: Configuration, as_of: date, split: str, windows: int, report: Report = silent
) -> Evaluation:
    """Build the dataset and measure the configured models on it, split otherwise than by one moment."""
    whole = configuration.evaluation.model_copy(update={"enabled": False})

    def work(night: Night) -> Evaluation:
        return of_arrays(configuration, night.folder.dataset, split, windows=windows, report=report)

    without = configuration.model_copy(update={"evaluation": whole})
    return dataset_only(without, as_of, work, "evaluation", report=report)
