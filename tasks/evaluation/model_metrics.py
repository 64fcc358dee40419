"""The station `model_metrics`: every model measured on the last events, which it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import load_histories, load_seen
from tasks.dataset.parts import read
from tasks.evaluation.holdout import Holdout

SPLIT = "temporal"


def measure(
    configuration: Configuration, past: Path, artefact: Path, holdout: Holdout
) -> list[dict[str, Any]]:
    """Return rows of model_metrics for one model trained on the dataset `past`.

    The interval is that of 2,000 resamples of the users, the same for every model of the night (its seed).
    """
    from models.artefact import load
    from models.evaluation.beyond_accuracy import coverage
    from models.evaluation.bootstrap import Bootstrap
    from models.evaluation.metrics import judge

    if not len(holdout.users):
        return []
    model = load(artefact)
    allowed = read(past, "items", ["available"])["available"].to_numpy()
    ks = sorted({min(k, len(allowed)) for k in configuration.evaluation.ks})
    top = model.recommend(
        load_histories(past).rows(holdout.users),
        ks[-1],
        exclude=None if configuration.top_n.repeats else load_seen(past)[holdout.users],
        allowed=allowed,
        threads=configuration.engine.threads,
    )
    judged = judge(top.items, holdout.relevant, ks, threads=configuration.engine.threads)
    boot = Bootstrap(seed=configuration.train.seed, threads=configuration.engine.threads)
    common = {"model": model.name, "split": SPLIT, "users": len(holdout.users)}
    rows = [
        {**common, "metric": name, "k": k, "value": found.value, "ci_low": found.low, "ci_high": found.high}
        for (name, k), found in boot.intervals(judged.values()).items()
    ]
    for k in ks:
        figures = {"value": coverage(top.items, k, allowed), "ci_low": None, "ci_high": None}
        rows.append({**common, "metric": "coverage", "k": k, **figures})
    return rows
