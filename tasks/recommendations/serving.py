"""Which model serves which users: one for all, or another for some segment of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.configuration.configuration import Configuration
from tasks.recommendations.ladder import places

Ints = npt.NDArray[np.int32]
ACTIVITY: Final = "activity"  # the segment new, light or heavy, by the items of a user's history
BEST: Final = "best"
EVERYBODY: Final = ""  # beside the values of a segment: who has none of them


@dataclass(frozen=True)
class Serving:
    """The model of everybody, and those of the values of one segment that have another.

    `by` is `activity` or an attribute of users; `models` goes from its values to names of models.
    """

    default: str
    by: str = ACTIVITY
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The served models, each once, that of everybody first."""
        return tuple(dict.fromkeys((self.default, *self.models.values())))

    def assigned(self, dataset: Path, lengths: npt.NDArray[np.integer]) -> Ints:
        """Return the place in `names` of each user's model, int32 (n_users,) of a dataset.

        `lengths` (n_users,): the items of their histories, which decide about activity.
        """
        values = list(self.models)
        if not values:
            return np.zeros(len(lengths), np.int32)
        own = np.array([self.names.index(self.models[value]) for value in values], np.int32)
        at = segment_places(self.by, values, dataset, lengths)
        return np.where(at >= 0, own[at], 0).astype(np.int32)

    def of(self, by: str, value: str) -> str:
        """Return the model of the users with a value of a segment."""
        return self.models.get(value, self.default) if by == self.by else self.default

    def facts(self) -> dict[str, Any]:
        """Return what `Serving(**facts)` is made from, for JSON."""
        return {"default": self.default, "by": self.by, "models": dict(self.models)}


def segment_places(
    by: str, values: list[str], dataset: Path, lengths: npt.NDArray[np.integer]
) -> npt.NDArray[np.integer]:
    """Return the place of each user's segment among `values`, -1 for none; as `Serving.assigned`."""
    from models.activity import ACTIVITY as NAMES
    from models.activity import activity

    if by != ACTIVITY:
        return places(by, dataset, values)
    known = np.array([values.index(name) if name in values else -1 for name in NAMES])
    return np.asarray(known[activity(lengths)])


def served_models(configuration: Configuration, chosen: Mapping[str, str] | None = None) -> Serving:
    """Return who is served by what; `chosen` are the models that `best` turned out to be, by value."""
    train, segments = configuration.train, configuration.train.serve_by_segment
    named = {EVERYBODY: train.serve, **segments.models} | dict(chosen or {})
    return Serving(named.pop(EVERYBODY), segments.by, named)
