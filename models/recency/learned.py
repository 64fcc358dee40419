"""The half-life of a model's training weights, and other settings, learned on windows of the events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

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
from models.recency.decay import OLDEST, Decay, last_times
from models.recency.half_life import DAY, Floats, PairEvents, Round, learn_half_life, learning_seconds, race

PAIRS = 120_000  # at most, about, to train on: a half-life needs no more
POPULARITY_PAIRS = 250_000  # to learn the half-life of popularity from
MULTIPLES = (16.0, 4.0, 1.0, 0.25)  # of the half-life of popularity: the candidates
STAYING = 0.5  # share of the candidates that remain after the last window, as a rule
WINDOW_BYTES = 128.0  # of the windows, for a pair
LIBRARY_BYTES = 25e6  # of what libraries allocate at first use
ENOUGH = 0.25  # of the share of the pairs that counted when a half-life was learned
PART = 1 / MULTIPLES[0]  # of the span of the log: in the place of that half-life, if nothing was learned

Weigh = Callable[[Decay, Dataset, npt.NDArray[np.int64]], Dataset]
"""Returns the dataset to train on, given a decay and the times of the pairs' last events."""
Trial = Callable[[Dataset, "float | None"], tuple[Decay, Model[Any]]]
"""Returns the decay and the untrained model of a candidate, given the training data of a window."""
C = TypeVar("C", bound=ModelConfig)
V = TypeVar("V")
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
    *,
    pairs: int = PAIRS,
) -> Decay:
    """Return the decay of the training weights; ``model`` makes a cheap model to learn it with.

    The candidates are no decay, and multiples of the half-life of popularity
    (models.recency.half_life) from 16 to 1/4; if that does not decay, the span of the log and parts
    of it. Each trains ``model``, which has no decay of its own, on what ``weigh`` makes of the
    events before each window (models.evaluation.window); without ``weigh``, the model of a decay
    weighs by itself. The answer wins a race by NDCG@10 from the last window back
    (models.recency.half_life): the longest that is not worse than the best by more than the
    standard error of their difference; it is longer where too few pairs would count
    (``sustained``). Without times, or with too few users, nothing decays. The models train on about
    ``pairs`` pairs.
    """
    if half_life_days != "learned":
        return Decay.of(dataset, None if half_life_days is None else half_life_days * DAY)
    windows = rolling_windows(dataset, pairs)
    if not windows:
        return Decay()
    events = PairEvents.of(sampled(dataset))
    popular = learn_half_life(events)
    base = popular or PART * float(events.times.max() - events.times.min())
    half_lives = [None, *(base * multiple for multiple in MULTIPLES)]
    options = replace(options, checkpoints=None, progress=None)

    def trial(past: Dataset, half_life: float | None) -> tuple[Decay, Model[Any]]:
        decay = Decay.of(past, half_life)
        return decay, model(decay)

    rounds = (_round(window, trial, options, weigh) for window in reversed(windows))
    return Decay.of(dataset, sustained(race(half_lives, rounds), windows, dataset))


def sustained(half_life: float | None, windows: Sequence[Window], dataset: Dataset) -> float | None:
    """Return a half-life in microseconds, doubled until a large enough share of the pairs counts.

    That is a quarter of the share that counted before the windows, or before the one with the
    least. Where a log gets thin at its end, the half-life of its dense part would leave next to
    nothing to train on.
    """
    if half_life is None:
        return None
    enough = ENOUGH * min(effective_share(window.past, half_life) for window in windows)
    while effective_share(dataset, half_life) < enough:
        half_life *= 2
    return half_life


def effective_share(dataset: Dataset, half_life: float) -> float:
    """Return the share of the pairs that would tell as much, undecayed, as all do with decay.

    (sum of w)^2 / (n * sum of w^2) for w = 2^(-age / half-life) (Kish 1965, "Survey Sampling").
    """
    latest = Decay.of(dataset, half_life).latest
    ages = (latest - last_times(dataset.histories, latest)) / half_life
    weights = np.exp2(-np.clip(ages, 0, OLDEST))
    return float(weights.sum() ** 2 / (len(weights) * np.square(weights).sum()))


def learned_choice(
    dataset: Dataset,
    models: Sequence[Callable[[], Model[Any]]],
    decay: Decay,
    options: TrainingOptions,
    weigh: Weigh = Decay.dataset,
    *,
    pairs: int = PAIRS,
) -> int:
    """Return the number of the model to train: the first, unless another predicts surely better.

    The models are compared as the half-lives of ``decay_of`` are, on events with the half-life of
    ``decay``: the answer is the first that is not worse than the best by more than the standard
    error of their difference; 0 without times, or with too few users.
    """
    options = replace(options, checkpoints=None, progress=None)
    half_life = float(decay.half_life) if decay.half_life else None

    def trial(past: Dataset, number: float | None) -> tuple[Decay, Model[Any]]:
        return Decay.of(past, half_life), models[int(number or 0)]()

    windows = reversed(rolling_windows(dataset, pairs))
    rounds = (_round(window, trial, options, weigh) for window in windows)
    return int(race([float(number) for number in range(len(models))], rounds) or 0)


def learned_setting(
    kind: Callable[[C], Model[Any]],
    config: C,
    dataset: Dataset,
    decay: Decay,
    options: TrainingOptions,
    *,
    name: str,
    candidates: Sequence[V],
    weigh: Weigh = Decay.dataset,
    pairs: int = PAIRS,
) -> V:
    """Return the value of a setting, by its name, with which models of ``kind`` predict best.

    That is the answer of ``learned_choice`` among ``config`` with each of the candidates.
    """
    models = [partial(kind, config.model_copy(update={name: value})) for value in candidates]
    return candidates[learned_choice(dataset, models, decay, options, weigh, pairs=pairs)]


def learning_cost(
    half_life_days: HalfLife,
    cost: Callable[[Size], Cost],
    size: Size,
    *,
    choices: int = 0,
    pairs: int = PAIRS,
) -> Cost:
    """Return the cost of ``decay_of`` with models that have a ``cost``, if anything decays.

    With ``choices``, that of ``learned_choice`` among so many models is added.
    """
    candidates = choices + (1 + len(MULTIPLES)) * (half_life_days == "learned")
    if not candidates:
        return Cost(0, 0)
    sample = sampled_size(size)
    cheap = cost(sampled_size(size, pairs))
    later = STAYING * sum(SHARES[:-1])  # a training costs as much as its events
    trainings = candidates * (SHARES[-1] + later)
    measured = candidates * (1 + STAYING * len(SHARES[:-1]))
    users = min(USERS, size.users)
    measuring = 1e-3 + 2.5e-5 * users + 3e-9 * min(SCORES, users * size.items)
    windows = 5e-7 * sample.pairs + learning_seconds(sample)
    memory = cheap.memory + WINDOW_BYTES * min(size.pairs, pairs) + LIBRARY_BYTES
    return Cost(trainings * cheap.seconds + measured * measuring + windows, memory)


def _round(window: Window, trial: Trial, options: TrainingOptions, weigh: Weigh | None) -> Round:
    """Return the users of a window, and how to measure a candidate on them by NDCG@10."""
    past, histories = window.past, window.histories
    latest = Decay.of(past, 1.0).latest
    trained, known = last_times(past.histories, latest), last_times(histories, latest)

    def measure(candidate: float | None) -> Floats:
        decay, model = trial(past, candidate)
        decayed = histories if weigh is None else decay.histories(histories, known)
        try:
            fitted = model.fit(past if weigh is None else weigh(decay, past, trained), options)
        except ModelError:  # it learns nothing
            return np.zeros(len(histories))
        n = min(LENGTH, fitted.n_items)
        lists = fitted.recommend(decayed, n, exclude=histories.matrix, threads=options.threads).items
        return np.asarray(match_lists(lists, window.relevant, [n]).values(["ndcg"])["ndcg", n])

    return window.users, measure
