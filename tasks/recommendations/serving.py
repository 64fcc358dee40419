"""Which model serves which users: a default, and other models for values of a segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.configuration.configuration import Configuration
from tasks.recommendations.ladder import attribute_positions

Ints = npt.NDArray[np.int32]
ACTIVITY: Final = "activity"  # the segment new, light or heavy, by the items of a user's history
BEST: Final = "best"
EVERYBODY: Final = ""  # the key of the default, beside the values of a segment


@dataclass(frozen=True)
class Serving:
    """The default model, and the models of some values of a segment.

    `by` is `activity` or an attribute of users; `models` maps its values to names of models.
    """

    default: str
    by: str = ACTIVITY
    models: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all models that serve, the default first."""
        return tuple(dict.fromkeys((self.default, *self.models.values())))

    def assigned(self, dataset: Path, lengths: npt.NDArray[np.integer]) -> Ints:
        """Return the index in `names` of each user's model, int32 (n_users,) of a dataset.

        `lengths` (n_users,): the number of items of their histories, which defines activity.
        """
        values = list(self.models)
        if not values:
            return np.zeros(len(lengths), np.int32)
        model_indices = np.array([self.names.index(self.models[value]) for value in values], np.int32)
        positions = segment_positions(self.by, values, dataset, lengths)
        return np.where(positions >= 0, model_indices[positions], 0).astype(np.int32)

    def model_for(self, by: str, value: str) -> str:
        """Return the model that serves the users with a value of a segment."""
        return self.models.get(value, self.default) if by == self.by else self.default

    def facts(self) -> dict[str, Any]:
        """Return the arguments of `Serving(**facts)`, for JSON."""
        return {"default": self.default, "by": self.by, "models": dict(self.models)}


def segment_positions(
    by: str, values: list[str], dataset: Path, lengths: npt.NDArray[np.integer]
) -> npt.NDArray[np.integer]:
    """Return the position of each user's segment in `values`, -1 for none: (n_users,).

    The arguments are those of `Serving.assigned`.
    """
    from models.evaluation.activity import ACTIVITY as NAMES
    from models.evaluation.activity import activity

    if by != ACTIVITY:
        return attribute_positions(by, dataset, values)
    known = np.array([values.index(name) if name in values else -1 for name in NAMES])
    return np.asarray(known[activity(lengths)])


def resolve_serving(configuration: Configuration, chosen: Mapping[str, str] | None = None) -> Serving:
    """Return which model serves whom; `chosen` has the models chosen for `best`, by value."""
    train, segments = configuration.train, configuration.train.serve_by_segment
    models = {EVERYBODY: train.serve, **segments.models} | dict(chosen or {})
    return Serving(models.pop(EVERYBODY), segments.by, models)
