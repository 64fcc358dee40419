"""The state of the contest between settings, as each release's manifest has it: small and readable.

It names dates and settings, but no users, no releases and no times of runs, so equal inputs give
equal bytes. Each night reads it from the release before and writes its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

FACT: Final = "incumbents"  # the name of the state in a manifest
VERSION: Final = 1
CHANGES: Final = 100  # kept in the history, the newest last
Settings = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Trial(_Part):
    """One night of a challenger: `gain` is its metric minus the incumbent's, paired over `users`.

    `error` is the standard error of `gain`, and `incumbent` the incumbent's mean on these users.
    """

    as_of: date
    users: int
    incumbent: float
    gain: float
    error: float


class Challenger(_Part):
    """Settings on trial; `number` counts the challengers of this incumbent from 1.

    `settings` replace those of the incumbent. `role` says how they were drawn.
    """

    number: int
    role: str
    settings: Settings
    trials: tuple[Trial, ...] = ()


class Incumbent(_Part):
    """The settings of a model beside the `configured` ones: none until a challenger has won.

    `since` is the date of that night, `tried` the number of challengers drawn against them.
    """

    configured: Settings = {}
    settings: Settings = {}
    since: date | None = None
    tried: int = 0
    challengers: tuple[Challenger, ...] = ()


class Change(_Part):
    """A challenger that became the incumbent: who won against whom, when, by how much.

    `gain` is its mean difference over `users` on `nights`, with a 95 % interval; `incumbent` is the
    mean of the settings `before` on the same users, `number` which of their challengers it was. With
    0 nights, the model could not be trained with the settings `before`, and nobody won.
    """

    as_of: date
    model: str
    before: Settings
    after: Settings
    nights: int = 0
    users: int = 0
    incumbent: float = 0.0
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0
    number: int = 0


class Incumbents(_Part):
    """The incumbents by model, and the history of changes, the oldest first.

    `metric` is the one that all figures are of, such as ndcg@10.
    """

    version: int = VERSION
    metric: str
    models: dict[str, Incumbent] = {}
    history: tuple[Change, ...] = ()

    def after(self, model: str, incumbent: Incumbent, change: Change | None) -> Incumbents:
        """Return the state after a night's contest of one model."""
        history = self.history if change is None else (*self.history, change)[-CHANGES:]
        models = dict(sorted({**self.models, model: incumbent}.items()))
        return self.model_copy(update={"models": models, "history": history})


def read_incumbents(content: Mapping[str, Any] | None, metric: str) -> Incumbents:
    """Return the state in a manifest; without one that can be read, nothing has been learned.

    Under another metric, what was learned holds, and the trials begin anew.
    """
    try:
        state = Incumbents.model_validate(content or {"metric": metric})
    except ValidationError:
        return Incumbents(metric=metric)
    if state.version != VERSION:
        return Incumbents(metric=metric)
    if state.metric == metric:
        return state
    begun_anew = {
        model: incumbent.model_copy(update={"challengers": ()}) for model, incumbent in state.models.items()
    }
    return state.model_copy(update={"metric": metric, "models": begun_anew})
