"""The weights of a blend, learned on windows of the training events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from models.dataset import Histories
from models.evaluation.metrics import match_lists
from models.evaluation.window import FEWEST_USERS, LENGTH, Window, losses
from models.ranking.topn import block_users, top_n
from models.recency.half_life import LEAVING

STEPS = 5  # weights are multiples of 1 / STEPS

Floats = npt.NDArray[np.float64]
Scores = Callable[[Histories], Floats]
"""Returns the standardised scores of a model, float64 (n_users, n_items)."""


def combinations(parts: int) -> list[tuple[int, ...]]:
    """Return all weights of a number of models, in multiples of 1 / STEPS that add up to STEPS."""
    return [shares for shares in product(range(STEPS, -1, -1), repeat=parts) if sum(shares) == STEPS]


def learned_combination(
    windows: Sequence[Window],
    scores_after: Callable[[int, Window], Scores],
    personal: npt.NDArray[np.bool_],
) -> tuple[int, ...]:
    """Return the shares of STEPS with the best lists on windows, in order of time, as a race.

    ``scores_after`` returns the scores of a model, by its number, trained before a window.
    ``personal`` bool (n_models,): at least one of these has a share. The race goes from the last
    window back. A combination that is worse than the best by two standard errors leaves it, and a
    model that is in none that stay is trained no more. Of those that stay,
    ``best_combination`` is the answer.
    """
    weights = [shares for shares in combinations(len(personal)) if np.dot(shares, personal) > 0]
    values: list[Floats] = []
    users = np.zeros(0, np.int64)
    for window in reversed(windows):
        used = np.any(weights, axis=0)
        models = [scores_after(number, window) if used[number] else None for number in range(len(used))]
        values.insert(0, combined_values(window, models, weights))
        users = np.concatenate([window.users, users])
        if len(np.unique(users)) >= FEWEST_USERS:
            loss, error = losses(np.concatenate(values, axis=1), users)
            stay = np.flatnonzero(loss <= LEAVING * error)
            weights, values = [weights[number] for number in stay], [part[stay] for part in values]
    return best_combination(weights, values)


def combined_values(
    window: Window, models: Sequence[Scores | None], weights: Sequence[tuple[int, ...]]
) -> Floats:
    """Return the NDCG@10 of each combination on a window: float64 (n_combinations, n_users).

    A model with a share nowhere may be None.
    """
    values = np.zeros((len(weights), len(window.histories)))
    trained = np.bincount(window.past.matrix.indices, minlength=window.past.n_items) > 0
    step = block_users(window.past.n_items)
    for start in range(0, len(window.histories), step):
        histories = window.histories.rows(slice(start, start + step))
        relevant = window.relevant[start : start + step]
        scores = [np.zeros(0) if model is None else model(histories) for model in models]
        for number, combination in enumerate(weights):
            blended = sum(share * part for share, part in zip(combination, scores, strict=True) if share)
            lists = top_n(
                np.asarray(blended, np.float32), LENGTH, exclude=histories.matrix, allowed=trained
            ).items
            matches = match_lists(lists, relevant, [LENGTH])
            values[number, start : start + step] = matches.values(["ndcg"])["ndcg", LENGTH]
    return values


def best_combination(weights: Sequence[tuple[int, ...]], values: Sequence[Floats]) -> tuple[int, ...]:
    """Return the combination with the best mean; of equal ones, the most even.

    ``values`` are those of each window (n_combinations, n_users), the earliest first. Every user of
    a window counts, of the first window once, of the second twice, and so on: the later the window,
    the more its models resemble those that will serve. In a growing log, models for persons know
    too little in the first one. Taking the most even of the combinations within the error of the
    best, which helps after one window, does not help after four (docs/benchmarks.md).
    """
    count = np.repeat(np.arange(len(values)) + 1, [window.shape[1] for window in values])
    means = np.average(np.concatenate(values, axis=1), axis=1, weights=count)
    return weights[int(np.lexsort([np.square(weights).sum(axis=1), -means])[0])]
