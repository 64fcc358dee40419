"""The half-life of a model's training weights, learned on windows of the training events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
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
from models.recency.decay import Decay, last_times
from models.recency.half_life import DAY, Floats, PairEvents, Round, learn_half_life, learning_seconds, race

PAIRS = 120_000  # at most, about, to train on: a half-life needs no more
POPULARITY_PAIRS = 250_000  # to learn the half-life of popularity from
MULTIPLES = (16.0, 4.0, 1.0, 0.25)  # of the half-life of popularity: the candidates
STAYING = 0.5  # share of the candidates that remain after the last window, as a rule
WINDOW_BYTES = 128.0  # of the windows, for a pair
LIBRARY_BYTES = 25e6  # of what libraries allocate at first use
PART = 1 / MULTIPLES[0]  # of the span of the log: in the place of that half-life, if nothing was learned

Weigh = Callable[[Decay, Dataset, npt.NDArray[np.int64]], Dataset]
"""Returns the dataset to train on, given a decay and the times of the pairs' last events."""
HalfLife = Annotated[float, Field(gt=0)] | Literal["learned"] | None


class AgingConfig(ModelConfig):
    """The configuration of a model whose training weights can lose weight with age."""

    half_life_days: HalfLife = Field(
        default="learned",
        description="age at which a pair's weight counts half, by its last event; learned: the one that "
        "best predicts the last 40 % of the training events; none: age does not count",
    )


def decay_of(
    half_life_days: HalfLife,
    dataset: Dataset,
    model: Callable[[Decay], Model[Any]],
    options: TrainingOptions,
    weigh: Weigh | None = Decay.dataset,
) -> Decay:
    """Return the decay of the training weights; ``model`` makes a cheap model to learn it with.

    The candidates are no decay, and multiples of the half-life of popularity
    (models.recency.half_life) from 16 to 1/4; if that does not decay, the span of the log and parts
    of it. Each trains ``model``, which has no decay of its own, on what ``weigh`` makes of the
    events before each window (models.evaluation.window); without ``weigh``, the model of a decay
    weighs by itself. The answer wins a race by NDCG@10 from the last window back
    (models.recency.half_life): the longest that is not worse than the best by more than the
    standard error of their difference. Without times, or with too few users, nothing decays.
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
    options = replace(options, checkpoints=None, progress=None)
    rounds = (_round(window, model, options, weigh) for window in reversed(windows))
    return Decay.of(dataset, race(half_lives, rounds))


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
    measuring = 1e-3 + 2.5e-5 * users + 3e-9 * min(SCORES, users * size.items)
    windows = 5e-7 * sample.pairs + learning_seconds(sample)
    memory = cheap.memory + WINDOW_BYTES * min(size.pairs, PAIRS) + LIBRARY_BYTES
    return Cost(trainings * cheap.seconds + measured * measuring + windows, memory)


def _round(
    window: Window, model: Callable[[Decay], Model[Any]], options: TrainingOptions, weigh: Weigh | None
) -> Round:
    """Return the users of a window, and how to measure a half-life on them by NDCG@10."""
    past, histories = window.past, window.histories
    latest = Decay.of(past, 1.0).latest
    trained, known = last_times(past.histories, latest), last_times(histories, latest)

    def measure(half_life: float | None) -> Floats:
        decay = Decay.of(past, half_life)
        decayed = histories if weigh is None else decay.histories(histories, known)
        try:
            fitted = model(decay).fit(past if weigh is None else weigh(decay, past, trained), options)
        except ModelError:  # it learns nothing
            return np.zeros(len(histories))
        n = min(LENGTH, fitted.n_items)
        lists = fitted.recommend(decayed, n, exclude=histories.matrix, threads=options.threads).items
        return np.asarray(match_lists(lists, window.relevant, [n]).values(["ndcg"])["ndcg", n])

    return window.users, measure
