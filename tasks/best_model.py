"""Which of the measured models serves, where the configuration says `best`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.champion import Measured, champion_model
from tasks.comparison import Question, Values, compare
from tasks.configuration import Configuration
from tasks.errors import TrainingError
from tasks.model_metrics import make_holdout
from tasks.serving import Serving
from tasks.store import Store

if TYPE_CHECKING:
    from tasks.published import Release

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Choice:
    """The model, why it is, and the mean of each model."""

    model: str
    why: str
    figures: dict[str, float]


def best_model(  # noqa: PLR0917
    configuration: Configuration,
    store: Store,
    names: Sequence[str],
    dataset: Path,
    measured: Measured,
    before: Release | None,
) -> Choice:
    """Return the model that served the release `before`, unless others are significantly better.

    Then the best of these. All are asked about the same users of tonight's holdout. With m others an interval
    of each difference, paired by user, has the confidence 1 - 0.05 / m (Bonferroni), so that noise moves
    readers to another model on at most 1 night of 20. Without a model that served, or where it is not among
    `names`, the one with the best mean; the first named of equals.

    Raises
    ------
    TrainingError
        If no model was measured.
    """
    if not names:
        raise TrainingError("no model could be measured, so there is no best one, nothing is published")
    metric, k = configuration.quality.metric, min(configuration.quality.k, configuration.top_n.n)
    holdout = make_holdout(configuration, dataset, measured.past, measured.cut)
    kept = champion_model(store, before)
    incumbent = kept if kept in names else None
    if len(holdout.users) < configuration.quality.min_users:
        few = f"{len(holdout.users)} users are too few to compare models"
        return Choice(incumbent or names[0], few, {})
    question = Question.of(measured.past, holdout, repeats=configuration.top_n.repeats)
    values: dict[str, Values] = {}
    for name in names:
        folders = {name: measured.artefacts / name}
        lists = question.lists(folders, question.item_ids, Serving(name), k, configuration.engine.threads)
        values[name] = question.judge(configuration, lists, k)
    figures = {name: round(float(one.mean()), 6) for name, one in values.items()}
    best = names[int(np.argmax([values[name].mean() for name in names]))]
    if incumbent is None:
        return Choice(best, f"the best {metric}@{k}; no model served before it", figures)
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(names) - 1)
    better = [
        name
        for name in names
        if (compare(configuration, values[name], values[incumbent], confidence).low or 0.0) > 0
    ]
    if not better:
        return Choice(incumbent, f"it served before; none is significantly better by {metric}@{k}", figures)
    chosen = max(better, key=lambda name: float(values[name].mean()))
    return Choice(chosen, f"significantly better than {incumbent}, which served, by {metric}@{k}", figures)
