"""Whether a night tries challengers: of which model, on which events, with which budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from tasks.configuration.configuration import Configuration
from tasks.dataset.arrays import array_of, micros
from tasks.evaluation.holdout import events_without_bots
from tasks.incumbents.document import Incumbent, Incumbents, Settings
from tasks.incumbents.draws import variable
from tasks.interactions.events import DAY_MICROS, end_of
from tasks.recommendations.serving import BEST, Serving
from tasks.release.releases import Release
from tasks.training.plan import TRAININGS, Plan

AUTO: Final = 4  # challengers a night


@dataclass(frozen=True)
class Contest:
    """The contest of a night: its model, and the date and the cut (microseconds) of the eve."""

    model: str
    judged: date
    cut: int


@dataclass
class Budget:
    """The seconds that are left for trainings on the eve, and the memory for each.

    Settings fit if a night could also train them in the incumbent's place.
    """

    model: str
    configured: Mapping[str, Any]
    incumbent: Settings
    size: Mapping[str, int]
    left: float
    memory: float

    def take(self, settings: Settings) -> bool:
        """Take the cost of a training, if it fits; return whether it does."""
        seconds, memory = self._cost(settings)
        more = TRAININGS * (seconds - self._cost(self.incumbent)[0])
        if memory > self.memory or seconds + max(more, 0.0) > self.left:
            return False
        self.left -= seconds
        return True

    def _cost(self, settings: Settings) -> tuple[float, float]:
        from models import registry
        from models.options import Size

        config = registry.config(self.model, {**self.configured, **settings})
        cost = registry.model_class(self.model).cost(config, Size(**self.size))
        return cost.seconds, cost.memory


def slots(configuration: Configuration) -> int:
    """Return how many challengers a night tries at most."""
    challengers = configuration.train.challengers
    return AUTO if challengers == "auto" else challengers


def contestable(configuration: Configuration) -> tuple[str, ...]:
    """Return the models that may serve, or be a part of what serves, and have settings to vary.

    There are none with `[train] challengers = 0`, and none if nothing is measured.
    """
    train = configuration.train
    if not (slots(configuration) and configuration.evaluation.enabled):
        return ()
    named = [name for name in (train.serve, *train.serve_by_segment.models.values()) if name != BEST]
    return _varied(configuration, [*(train.models if train.chooses else ()), *named])


def plan_contest(
    configuration: Configuration, before: Release | None, plan: Plan, dataset: Path, as_of: date
) -> Contest | str:
    """Return the contest of a night, or a sentence about why there is none.

    Its model is the one that served in the release `before`; several, such as the parts of a blend,
    take turns by date. The events since that release judge it, on users who have been there before.
    """
    if before is None:
        return "there is no release before"
    facts = before.manifest().get("served")
    served = Serving(**facts).names if facts else ()
    served_tonight = [name for name in served if name in configuration.train.models]
    models = [name for name in _varied(configuration, served_tonight) if name in contestable(configuration)]
    models = [name for name in models if name not in plan.left_out]
    if not models:
        return "what served has no settings that the configuration leaves open"
    model = models[as_of.toordinal() % len(models)]
    cut = end_of(before.as_of, configuration.time_zone)
    users = returning_users(dataset, cut)
    if users < configuration.quality.min_users:
        return f"{users} users came back since {before.as_of}, too few to judge settings"
    return Contest(model, before.as_of, cut)


def budget_of(
    configuration: Configuration, model: str, state: Incumbents, plan: Plan, size: Mapping[str, int]
) -> Budget:
    """Return what a contest of a model may cost."""
    incumbent = incumbent_of(configuration, model, state)
    memory = configuration.resources.memory
    return Budget(model, incumbent.configured, incumbent.settings, size, plan.left, memory)


def incumbent_of(configuration: Configuration, model: str, state: Incumbents) -> Incumbent:
    """Return the incumbent of a model; at first, it has the configured settings."""
    return state.models.get(model) or Incumbent(configured=configuration.models.get(model, {}))


def returning_users(dataset: Path, cut: int) -> int:
    """Return the number of users with events before a time and from it on."""
    events = events_without_bots(dataset)
    users, later = array_of(events["user_index"]), micros(events["timestamp"]) >= cut
    return len(np.intersect1d(users[later], users[~later]))


def span_days(dataset: Path) -> float:
    """Return the days between the first and the last event of a dataset."""
    times = micros(events_without_bots(dataset)["timestamp"])
    return float(times.max() - times.min()) / DAY_MICROS if len(times) else 0.0


def _varied(configuration: Configuration, names: Any) -> tuple[str, ...]:
    """Return the models among `names`, and their parts, that have settings to vary."""
    varied: dict[str, None] = {}
    for name in names:
        fixed = configuration.models.get(name, {}).get("settings", {})
        parts = [part for part in configuration.parts_of(name) if part not in fixed]
        for model in parts or [name]:
            if variable(model, configuration.models.get(model, {})):
                varied[model] = None
    return tuple(varied)
