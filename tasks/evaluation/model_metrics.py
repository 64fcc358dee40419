"""The station `model_metrics`: each model measured on the last events, which it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.configuration.configuration import Configuration
from tasks.evaluation.evaluation import measure_models
from tasks.evaluation.holdout import Holdout
from tasks.evaluation.item_attributes import ATTRIBUTE_DIVERSITY

SPLIT = "temporal"
LIST_METRICS = ("novelty", "serendipity", "diversity", ATTRIBUTE_DIVERSITY)
"""Metrics of novelty and diversity; they are shown on the page, not in model_metrics."""


def measure(configuration: Configuration, artefact: Path, holdout: Holdout) -> list[dict[str, Any]]:
    """Return rows of model_metrics for a model trained on the past of the holdout.

    Intervals are from 2,000 resamples of the users, the same ones for every model of the night (its
    seed). The model's lists are kept for the stations that compare models.
    """
    from models.artefact import read_manifest
    from models.evaluation.beyond_accuracy import coverage
    from models.evaluation.bootstrap import Bootstrap
    from models.evaluation.metrics import match_lists

    if not len(holdout):
        return []
    ks, resources = holdout.cuts(configuration.evaluation.ks), configuration.resources
    lists = holdout.lists_of(artefact, max(ks[-1], compared_length(configuration)), resources)[:, : ks[-1]]
    matches = match_lists(lists, holdout.relevant, ks, threads=resources.threads)
    bootstrap = Bootstrap(seed=configuration.train.seed, threads=resources.threads)
    common = {"model": read_manifest(artefact)["model"], "split": SPLIT, "users": len(holdout)}
    rows = [
        {
            **common,
            "metric": name,
            "k": k,
            "value": interval.value,
            "ci_low": interval.low,
            "ci_high": interval.high,
        }
        for (name, k), interval in bootstrap.intervals(matches.values()).items()
    ]
    for k in ks:
        figures = {"value": coverage(lists, k, holdout.allowed), "ci_low": None, "ci_high": None}
        rows.append({**common, "metric": "coverage", "k": k, **figures})
    return rows


def list_metrics(configuration: Configuration, artefact: Path, holdout: Holdout) -> list[dict[str, Any]]:
    """Return LIST_METRICS of a measured model, as rows like those of model_metrics.

    They are for the run's page; empty if the page is disabled.
    """
    from models.artefact import read_manifest
    from models.evaluation.bootstrap import Bootstrap

    if not (len(holdout) and configuration.report.enabled):
        return []
    name, threads = read_manifest(artefact)["model"], configuration.resources.threads
    (measured,) = measure_models(configuration, {name: artefact}, holdout).measured[name]
    values = {key: column for key, column in measured.values.items() if key[0] in LIST_METRICS}
    intervals = Bootstrap(seed=configuration.train.seed, threads=threads).intervals(values)
    return [
        {"model": name, "split": SPLIT, "users": interval.users, "metric": metric, "k": k}
        | {"value": interval.value, "ci_low": interval.low, "ci_high": interval.high}
        for (metric, k), interval in intervals.items()
    ]


def compared_length(configuration: Configuration) -> int:
    """Return the list length at which the quality gate compares models."""
    return min(configuration.quality.k, configuration.top_n.n)
