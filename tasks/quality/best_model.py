"""The choice of the model that serves, if the configuration says `best`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.configuration.configuration import Configuration
from tasks.evaluation.holdout import make_holdout
from tasks.evaluation.model_metrics import compared_length
from tasks.quality.champion import Measured, champion_serving
from tasks.quality.comparison import Question, Values, compare
from tasks.recommendations.serving import BEST, EVERYBODY, segment_positions
from tasks.runtime.errors import TrainingError
from tasks.store.layout import Store

if TYPE_CHECKING:
    from tasks.release.releases import Release

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Choice:
    """The chosen model, the reason, and each model's mean metric."""

    model: str
    why: str
    figures: dict[str, float]


def best_models(  # noqa: PLR0917
    configuration: Configuration,
    store: Store,
    names: Sequence[str],
    dataset: Path,
    measured: Measured,
    before: Release | None,
) -> dict[str, Choice]:
    """Return the choice for everybody (EVERYBODY) and for each segment value configured as `best`.

    The choice is the model that served in the previous release `before`, unless others are
    significantly better on the users of tonight's holdout; then it is the best of these. With m
    other models, each interval of a difference, paired by user, has the confidence 1 - 0.05 / m
    (Bonferroni), so that noise changes the model on at most 1 night in 20. If no model served
    before, or it is not among `names`, the choice is the model with the best mean, the first named
    of equals. With too few users, it is the model that served them, or else the one that serves
    everybody.

    Raises
    ------
    TrainingError
        If no model was measured.
    """
    if not names:
        raise TrainingError(
            "no model could be measured, so none can be chosen as the best; nothing is published"
        )
    train = configuration.train
    holdout = make_holdout(configuration, dataset, measured.past, measured.cut)
    question = Question(configuration, holdout)
    values = {name: question.measured(measured.artefacts / name) for name in names}
    previous = champion_serving(store, before)
    fixed = Choice(train.serve, "as configured", {})
    everybody = np.ones(len(holdout), np.bool_)
    best = partial(_best, configuration, values)
    served = previous.default if previous else None
    choices = {EVERYBODY: best(everybody, served) if train.serve == BEST else fixed}
    segments, by = train.serve_by_segment.models, train.serve_by_segment.by
    for value in (value for value, name in segments.items() if name == BEST):
        positions = segment_positions(by, [value], holdout.past, holdout.lengths)[holdout.users]
        served = previous.model_for(by, value) if previous else None
        choices[value] = best(positions == 0, served, choices[EVERYBODY].model)
    return choices


def _best(
    configuration: Configuration,
    values: Mapping[str, Values],
    users: npt.NDArray[np.bool_],
    served: str | None,
    default: str | None = None,
) -> Choice:
    """Return the choice for the users of a mask, bool (n_users,), whom `served` served before."""
    names, settings = list(values), configuration.quality
    incumbent = served if served in values else None
    if users.sum() < settings.min_users:
        few = f"{users.sum()} users are too few to compare models"
        return Choice(incumbent or default or names[0], few, {})
    values_of_users = {name: values[name][users] for name in names}
    figures = {name: round(float(column.mean()), 6) for name, column in values_of_users.items()}
    metric = f"{settings.metric}@{compared_length(configuration)}"
    if incumbent is None:
        best = names[int(np.argmax([values_of_users[name].mean() for name in names]))]
        return Choice(best, f"the best {metric}; no model served before", figures)
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(names) - 1)
    better = [
        name
        for name in names
        if (compare(configuration, values_of_users[name], values_of_users[incumbent], confidence).low or 0.0)
        > 0
    ]
    if not better:
        return Choice(incumbent, f"it served before; none is significantly better by {metric}", figures)
    chosen = max(better, key=lambda name: float(values_of_users[name].mean()))
    return Choice(chosen, f"significantly better than {incumbent}, which served, by {metric}", figures)
