"""The half-life of a model's training weights, learned on a window of the training events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from models.base import Model, ModelConfig
from models.dataset import Dataset, evenly_spread
from models.errors import ModelError
from models.evaluation.metrics import match_lists
from models.evaluation.window import LENGTH, Window
from models.options import Cost, Size, TrainingOptions
from models.recency.decay import Decay
from models.recency.half_life import DAY, Floats, PairEvents, learn_half_life, longest_of_the_best

PAIRS = 1_000_000  # at most, about, to train on: a half-life needs no more
MULTIPLES = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25)  # of the half-life of popularity: the candidates

HalfLife = Annotated[float, Field(gt=0)] | Literal["learned"] | None


class AgingConfig(ModelConfig):
    """The configuration of a model whose training weights can lose weight with age."""

    half_life_days: HalfLife = Field(
        default="learned",
        description="age at which a pair's weight counts half, by its last event; learned: the one that "
        "best predicts the last fifth of the training events; none: age does not count",
    )


def decay_of(
    half_life_days: HalfLife, dataset: Dataset, model: Callable[[], Model[Any]], options: TrainingOptions
) -> Decay:
    """Return the decay of the training weights; ``model`` makes a cheap model to learn it with.

    Where popularity is best predicted by all events alike, so is taste, and nothing decays.
    Otherwise the candidates are multiples of the half-life of popularity (models.recency.half_life)
    from 8 to 1/4, and no decay. Each trains ``model`` on the events before the last fifth, of evenly
    spread users with about a million pairs; the answer is the longest that is not worse than the
    best by more than the standard error of their difference in NDCG@10 on that fifth. Without
    times, or with too few users, nothing decays.
    """
    if half_life_days != "learned":
        return Decay.of(dataset, None if half_life_days is None else half_life_days * DAY)
    window = Window.of(dataset)
    if window is None:
        return Decay()
    window = replace(window, past=_sampled(window.past))
    popular = learn_half_life(PairEvents.of(window.past))
    if popular is None:
        return Decay()
    half_lives = [None, *(popular * multiple for multiple in MULTIPLES)]
    measure = partial(_measure, window, options=replace(options, checkpoints=None, progress=None))
    values = [measure(Decay.of(window.past, half_life), model()) for half_life in half_lives]
    return Decay.of(dataset, half_lives[longest_of_the_best(np.stack(values))])


def learning_cost(half_life_days: HalfLife, cost: Callable[[Size], Cost], size: Size) -> Cost:
    """Return the cost of ``decay_of`` with models that have a ``cost``, if anything decays."""
    if half_life_days != "learned":
        return Cost(0, 0)
    share = min(1.0, PAIRS / max(size.pairs, 1))
    cheap = cost(Size(round(share * size.users), size.items, round(share * size.pairs)))
    return Cost((1 + len(MULTIPLES)) * cheap.seconds, cheap.memory)


def _sampled(dataset: Dataset) -> Dataset:
    """Return the dataset of evenly spread users with about PAIRS pairs, or all of a smaller one."""
    share = PAIRS / max(dataset.matrix.nnz, 1)
    if share >= 1:
        return dataset
    users = evenly_spread(np.arange(dataset.n_users), max(1, round(share * dataset.n_users)))
    histories = dataset.histories.rows(users)
    return Dataset(histories.matrix, histories.sequences, dataset.item_features)


def _measure(window: Window, decay: Decay, model: Model[Any], options: TrainingOptions) -> Floats:
    """Return the users' NDCG@10 on the window, float64 (n_users,); 0 if the model learns nothing."""
    try:
        model.fit(decay.dataset(window.past), options)
    except ModelError:
        return np.zeros(len(window.histories))
    histories = decay.histories(window.histories)
    n = min(LENGTH, model.n_items)
    lists = model.recommend(histories, n, exclude=window.histories.matrix, threads=options.threads).items
    return np.asarray(match_lists(lists, window.relevant, [n]).values(["ndcg"])["ndcg", n])
