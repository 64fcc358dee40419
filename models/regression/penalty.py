"""The penalty of a regression of items on items: relative to the data, and learned with the half-life."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field
from scipy import sparse

from models.base import Model
from models.dataset import Dataset
from models.options import Cost, Size, TrainingOptions
from models.recency.decay import Decay
from models.recency.learned import PAIRS, AgingConfig, decay_of, learned_setting, learning_cost
from models.search_space import Range

PENALTIES = (5.0, 20.0, 1.25)  # the candidates to learn from, the usual one first
SEARCHED = Range(0.3, 100.0, log=True)
WEIGH = Decay.scaled_dataset  # so that the penalty keeps its strength


class PenaltyConfig(AgingConfig):
    """The configuration of a regression whose penalty is relative to the data."""

    penalty: Annotated[float, Field(ge=1e-3, le=1e6)] | Literal["learned"] = Field(
        default="learned",
        description="penalty of the regression, as a multiple of the mean over users of the sum of their "
        "squared weights, so that it keeps its meaning for any number of users, length of histories and "
        "scale of weights; learned: 1.25, 5 or 20, by the last 40 % of the training events",
    )


P = TypeVar("P", bound=PenaltyConfig)


def mean_squares(matrix: sparse.csr_array) -> float:
    """Return the mean of the sum of squared weights, over the users of csr (n_users, n_items) who have any.

    A penalty is a multiple of it. In published results the best penalty hardly depends on the number
    of users (500 to 1,300 on MovieLens with 6,000 and with 138,000 users), but on the lengths of
    their histories; and it is compared with squared weights.
    """
    users = int((np.diff(matrix.indptr) > 0).sum())
    return float(np.square(matrix.data, dtype=np.float64).sum()) / users


def learn(
    kind: Callable[[P], Model[Any]],
    config: P,
    dataset: Dataset,
    options: TrainingOptions,
    pairs: int = PAIRS,
) -> tuple[Decay, float]:
    """Return the decay of the weights and the penalty: what is configured, or what predicts best.

    Both are learned with models of ``kind`` on about ``pairs`` pairs: first the half-life with the
    usual penalty, then the penalty with that half-life (models.recency.learned).
    """
    cheap = _cheap(config)
    decay = decay_of(config.half_life_days, dataset, lambda _: kind(cheap), options, WEIGH, pairs=pairs)
    if config.penalty != "learned":
        return decay, float(config.penalty)
    penalty = learned_setting(
        kind,
        cheap,
        dataset,
        decay,
        options,
        name="penalty",
        candidates=PENALTIES,
        weigh=WEIGH,
        pairs=pairs,
    )
    return decay, penalty


def cost_of_learning(cost: Callable[[P, Size], Cost], config: P, size: Size, pairs: int = PAIRS) -> Cost:
    """Return the cost of ``learn`` with models that have a ``cost``."""
    choices = len(PENALTIES) * (config.penalty == "learned")
    cheap = partial(cost, _cheap(config))
    return learning_cost(config.half_life_days, cheap, size, choices=choices, pairs=pairs)


def _cheap(config: P) -> P:
    """Return the settings that learn the half-life: no decay, and the usual penalty if it is learned."""
    penalty = PENALTIES[0] if config.penalty == "learned" else config.penalty
    return config.model_copy(update={"half_life_days": None, "penalty": penalty})
