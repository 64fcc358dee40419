"""Evaluations on the configured logs: with a night's temporal split, or with another split."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from flows.night.night import Night
from flows.night.run import dataset_only, evaluate_only
from tasks.configuration.configuration import Configuration
from tasks.evaluation.evaluation import Evaluation, measure_models, measure_on_split
from tasks.runtime.progress import Report, silent


def evaluate_night(configuration: Configuration, as_of: date, report: Report = silent) -> Evaluation:
    """Train the configured models in child processes without the last events; measure on those."""
    from tasks.evaluation.holdout import make_holdout

    evaluations: list[Evaluation] = []

    def measure(night: Night) -> None:
        cut = night.record.station("holdout").facts["cut"]
        run = night.folder
        holdout = make_holdout(configuration, run.dataset, run.past, cut)
        artefacts = {
            name: run.past_model(name)
            for name in configuration.train.models
            if (run.past_model(name) / "artefact.json").is_file()  # a model that failed has no artefact
        }
        evaluation = measure_models(configuration, artefacts, holdout)
        evaluation.warnings += night.record.warnings
        for name, (measured,) in evaluation.measured.items():
            seconds = night.record.station("measure", name).seconds
            evaluation.measured[name] = [replace(measured, seconds=seconds)]
        evaluations.append(evaluation)

    evaluate_only(configuration, as_of, report=report, then=measure)
    return evaluations[0]


def evaluate_split(
    configuration: Configuration, as_of: date, split: str, windows: int, report: Report = silent
) -> Evaluation:
    """Build the whole dataset, split it by `split`, and measure the configured models."""
    evaluation = configuration.evaluation.model_copy(update={"enabled": False})

    def work(night: Night) -> Evaluation:
        return measure_on_split(configuration, night.folder.dataset, split, windows=windows, report=report)

    without_holdout = configuration.model_copy(update={"evaluation": evaluation})
    return dataset_only(without_holdout, as_of, work, "evaluation", report=report)
