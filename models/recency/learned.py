"""The half-life of a model's training weights, learned on windows of the training events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from models.base import Model, ModelConfig
from models.dataset import Dataset
from models.errors import ModelError
from models.evaluation.metrics import match_lists
from models.evaluation.window import (
    LENGTH,
    SCORES,
    SHARES,
    USERS,
    Window,
    rolling_windows,
    sampled,
    sampled_size,
)
from models.options import Cost, Size, TrainingOptions
from models.recency.decay import Decay
from models.recency.half_life import DAY, Floats, PairEvents, Round, learn_half_life, learning_seconds, race

PAIRS = 250_000  # at most, about, to train on: a half-life needs no more
MULTIPLES = (16.0, 4.0, 1.0, 0.25)  # of the half-life of popularity: the candidates
STAYING = 0.6  # share of the candidates that remain after the last window, as a rule
WINDOW_BYTES = 128.0  # of the windows, for a pair
LIBRARY_BYTES = 25e6  # of what libraries allocate at first use
PART = 1 / MULTIPLES[0]  # of the span of the log: in the place of that half-life, if nothing was learned

HalfLife = Annotated[float, Field(gt=0)] | Literal["learned"] | None


class AgingConfig(ModelConfig):
    """The configuration of a model whose training weights can lose weight with age."""

    half_life_days: HalfLife = Field(
        default="learned",
        description="age at which a pair's weight counts half, by its last event; learned: the one that "
        "best predicts the last 40 % of the training events; none: age does not count",
    )


def decay_of(
    half_life_days: HalfLife, dataset: Dataset, model: Callable[[], Model[Any]], options: TrainingOptions
) -> Decay:
    """Return the decay of the training weights; ``model`` makes a cheap model to learn it with.

    The candidates are no decay, and multiples of the half-life of popularity
    (models.recency.half_life) from 16 to 1/4; if that does not decay, the span of the log and parts
    of it. Each trains ``model`` on the events before each window (models.evaluation.window); the
    answer wins a race by NDCG@10 from the last window back (models.recency.half_life): the longest
    that is not worse than the best by more than the standard error of their difference. Without
    times, or with too few users, nothing decays.
    """
    if half_life_days != "learned":
        return Decay.of(dataset, None if half_life_days is None else half_life_days * DAY)
    windows = rolling_windows(dataset, PAIRS)
    if not windows:
        return Decay()
    events = PairEvents.of(sampled(dataset))
    popular = learn_half_life(events)
    base = popular or PART * float(events.times.max() - events.times.min())
    half_lives = [None, *(base * multiple for multiple in MULTIPLES)]

    def measured(window: Window) -> Round:
        return window.users, lambda length: _measure(window, _with_half_life(model(), length), options)

    return Decay.of(dataset, race(half_lives, map(measured, reversed(windows))))


def learning_cost(half_life_days: HalfLife, cost: Callable[[Size], Cost], size: Size) -> Cost:
    """Return the cost of ``decay_of`` with models that have a ``cost``, if anything decays."""
    if half_life_days != "learned":
        return Cost(0, 0)
    sample = sampled_size(size)
    cheap = cost(sampled_size(size, PAIRS))
    later = STAYING * sum(SHARES[:-1])  # a training costs as much as its events
    trainings = (1 + len(MULTIPLES)) * (SHARES[-1] + later)
    measured = (1 + len(MULTIPLES)) * (1 + STAYING * len(SHARES[:-1]))
    users = min(USERS, size.users)
    measuring = 1e-3 + 4.5e-5 * users + 3e-9 * min(SCORES, users * size.items)
    windows = 8e-7 * sample.pairs + learning_seconds(sample)
    memory = cheap.memory + WINDOW_BYTES * min(size.pairs, PAIRS) + LIBRARY_BYTES
    return Cost(trainings * cheap.seconds + measured * measuring + windows, memory)


def _with_half_life(model: Model[Any], half_life: float | None) -> Model[Any]:
    """Return a new model with the same settings and a half-life in microseconds."""
    days = None if half_life is None else half_life / DAY
    return type(model)(model.config.model_copy(update={"half_life_days": days}))


def _measure(window: Window, model: Model[Any], options: TrainingOptions) -> Floats:
    """Return the users' NDCG@10 in the window, float64 (n_users,); 0 if the model learns nothing."""
    try:
        model.fit(window.past, replace(options, checkpoints=None, progress=None))
    except ModelError:
        return np.zeros(len(window.histories))
    seen, n = window.histories.matrix, min(LENGTH, model.n_items)
    lists = model.recommend(window.histories, n, exclude=seen, threads=options.threads).items
    return np.asarray(match_lists(lists, window.relevant, [n]).values(["ndcg"])["ndcg", n])
