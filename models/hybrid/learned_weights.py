"""The weights of a blend, learned on a window of the training events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import numpy.typing as npt

from models.dataset import Histories
from models.evaluation.metrics import match_lists
from models.evaluation.window import LENGTH, Window, losses
from models.ranking.topn import block_users, top_n

STEPS = 5  # weights are multiples of 1 / STEPS

Scores = Callable[[Histories], npt.NDArray[np.float64]]
"""Returns the standardised scores of a model, float64 (n_users, n_items)."""


def learn_weights(window: Window, models: Mapping[str, Scores]) -> dict[str, float]:
    """Return the weights, adding up to 1, that make the best lists on a window, by NDCG@10.

    All multiples of 1/5 are tried. The answer is the most even of those that are not worse than the
    best by more than the standard error of their difference over the users (of equally even ones,
    the best). A single window cannot tell these apart, and on the next one even weights hold
    better: the "forecast combination puzzle" (Stock, Watson 2004, "Combination forecasts of output
    growth in a seven-country data set").
    """
    steps = range(STEPS, -1, -1)
    weights = [shares for shares in product(steps, repeat=len(models)) if sum(shares) == STEPS]
    values = np.zeros((len(weights), len(window.histories)))
    trained = np.bincount(window.past.matrix.indices, minlength=window.past.n_items) > 0
    step = block_users(window.past.n_items)
    for start in range(0, len(window.histories), step):
        histories = window.histories.rows(slice(start, start + step))
        relevant = window.relevant[start : start + step]
        scores = [model(histories) for model in models.values()]
        for number, combination in enumerate(weights):
            blended = sum(share * part for share, part in zip(combination, scores, strict=True) if share)
            lists = top_n(
                np.asarray(blended, np.float32), LENGTH, exclude=histories.matrix, allowed=trained
            ).items
            matches = match_lists(lists, relevant, [LENGTH])
            values[number, start : start + step] = matches.values(["ndcg"])["ndcg", LENGTH]
    loss, error = losses(values)
    unevenness = np.where(loss <= error, np.square(weights).sum(axis=1), np.inf)
    best = weights[int(np.lexsort([loss, unevenness])[0])]
    return {name: share / STEPS for name, share in zip(models, best, strict=True)}
