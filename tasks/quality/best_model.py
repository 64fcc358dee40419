"""The choice of the model that serves, if the configuration says `best`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
NO_MODEL: Final = "no model is significantly better than"


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

    A model serves only if it is significantly better than the best floor, on the users of tonight's
    holdout; if none is, that floor serves. Floors are the models with one ranking for everybody. Of
    the models that may serve, the choice is the one that served in the previous release `before`,
    unless others are significantly better; then it is the best of these. With m candidates, each
    interval of a difference, paired by user, has the confidence 1 - 0.05 / m (Bonferroni), so that
    noise changes the model on at most 1 night in 20. If no model served before, or it may not, the
    choice is the model with the best mean, the first named of equals. With too few users, it is the
    model that served them, or else the one that serves everybody, or else the best floor. Without
    floors among `names`, all models may serve.

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
    count = int(users.sum())
    values_of_users = {name: values[name][users] for name in names}
    means = {name: float(column.mean()) if count else 0.0 for name, column in values_of_users.items()}
    floors = floors_of(names)
    floor = max(floors, key=means.__getitem__, default=None)
    if count < settings.min_users:
        few = f"{count} users are too few to compare models"
        return Choice(incumbent or default or floor or names[0], few, {})
    figures = {name: round(mean, 6) for name, mean in means.items()}
    metric = f"{settings.metric}@{compared_length(configuration)}"
    better = partial(_significantly_better, configuration, values_of_users)
    candidates = names
    personal = [name for name in names if name not in floors]
    if floor is not None and personal:
        candidates = better(personal, floor, len(personal))
        if not candidates:
            best = max(personal, key=means.__getitem__)
            beaten = f"{metric} {means[best]:.4f} of {best} against {means[floor]:.4f} of {floor}"
            return Choice(floor, f"{NO_MODEL} {floor}, which serves: {beaten}", figures)
    if incumbent not in candidates:
        best = max(candidates, key=means.__getitem__)
        proven = "" if floor is None or best == floor else f", significantly better than {floor}"
        return Choice(best, f"the best {metric}{proven}; no model that may serve served before", figures)
    better_ones = better(candidates, incumbent, max(1, len(names) - 1))
    if not better_ones:
        return Choice(incumbent, f"it served before; none is significantly better by {metric}", figures)
    best = max(better_ones, key=means.__getitem__)
    return Choice(best, f"significantly better than {incumbent}, which served, by {metric}", figures)


def floors_of(names: Sequence[str]) -> list[str]:
    """Return the models with one ranking for everybody, which every other model must beat."""
    from models import registry

    return [name for name in names if not registry.model_class(name).personal]


def _significantly_better(
    configuration: Configuration,
    values: Mapping[str, Values],
    names: Sequence[str],
    reference: str,
    comparisons: int,
) -> list[str]:
    """Return the models whose paired difference to a reference is surely above 0."""
    confidence = 1 - (1 - CONFIDENCE) / comparisons
    return [
        name
        for name in names
        if name != reference
        and (compare(configuration, values[name], values[reference], confidence).low or 0.0) > 0
    ]
