"""Which of the measured models serves, where the configuration says `best`."""

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
from tasks.quality.champion import Measured, champion_serving
from tasks.quality.comparison import Question, Values, compare
from tasks.recommendations.serving import BEST, EVERYBODY, Serving, segment_places
from tasks.runtime.errors import TrainingError
from tasks.store.layout import Store

if TYPE_CHECKING:
    from tasks.release.releases import Release

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Choice:
    """The model, why it is, and the mean of each model."""

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
    """Return the choice for everybody, under EVERYBODY, and for the values of the segment that ask for it.

    It is the model that served them in the release `before`, unless others are significantly better; then the
    best of these. All are asked about the same users of tonight's holdout. With m others an interval of each
    difference, paired by user, has the confidence 1 - 0.05 / m (Bonferroni), so that noise moves readers to
    another model on at most 1 night of 20. Without a model that served, or where it is not among `names`, the
    one with the best mean; the first named of equals. Where too few users can be asked, what served them, or
    else what serves everybody.

    Raises
    ------
    TrainingError
        If no model was measured.
    """
    if not names:
        raise TrainingError("no model could be measured, so there is no best one, nothing is published")
    train = configuration.train
    holdout = make_holdout(configuration, dataset, measured.past, measured.cut)
    question = Question.of(measured.past, holdout, repeats=configuration.top_n.repeats)
    values = _values(configuration, names, question, measured)
    kept = champion_serving(store, before)
    fixed = Choice(train.serve, "as configured", {})
    everybody = np.ones(len(holdout.users), np.bool_)
    best = partial(_best, configuration, values)
    served = kept.default if kept else None
    choices = {EVERYBODY: best(everybody, served) if train.serve == BEST else fixed}
    segments, by = train.serve_by_segment.models, train.serve_by_segment.by
    for value in (value for value, name in segments.items() if name == BEST):
        places = segment_places(by, [value], question.past, question.lengths)[holdout.users]
        served = kept.of(by, value) if kept else None
        choices[value] = best(places == 0, served, choices[EVERYBODY].model)
    return choices


def _values(
    configuration: Configuration, names: Sequence[str], question: Question, measured: Measured
) -> dict[str, Values]:
    """Return the metric of the gate of each model for each user of the holdout."""
    k = min(configuration.quality.k, configuration.top_n.n)
    values = {}
    for name in names:
        folders = {name: measured.artefacts / name}
        lists = question.lists(folders, question.item_ids, Serving(name), k, configuration.engine.threads)
        values[name] = question.judge(configuration, lists, k)
    return values


def _best(
    configuration: Configuration,
    values: Mapping[str, Values],
    users: npt.NDArray[np.bool_],
    served: str | None,
    otherwise: str | None = None,
) -> Choice:
    """Return the choice for some of the users, bool (n_users,), whom `served` served before."""
    names, settings = list(values), configuration.quality
    incumbent = served if served in values else None
    if users.sum() < settings.min_users:
        few = f"{users.sum()} users are too few to compare models"
        return Choice(incumbent or otherwise or names[0], few, {})
    own = {name: values[name][users] for name in names}
    figures = {name: round(float(one.mean()), 6) for name, one in own.items()}
    metric = f"{settings.metric}@{min(settings.k, configuration.top_n.n)}"
    if incumbent is None:
        best = names[int(np.argmax([own[name].mean() for name in names]))]
        return Choice(best, f"the best {metric}; no model served before it", figures)
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(names) - 1)
    better = [
        name
        for name in names
        if (compare(configuration, own[name], own[incumbent], confidence).low or 0.0) > 0
    ]
    if not better:
        return Choice(incumbent, f"it served before; none is significantly better by {metric}", figures)
    chosen = max(better, key=lambda name: float(own[name].mean()))
    return Choice(chosen, f"significantly better than {incumbent}, which served, by {metric}", figures)
