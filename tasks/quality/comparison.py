"""The gate's metric of models on the same users and events, whatever items they were trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.configuration.configuration import Configuration
from tasks.evaluation.holdout import Holdout
from tasks.evaluation.model_metrics import compared_length
from tasks.recommendations.serving import Serving

if TYPE_CHECKING:
    from models.evaluation.bootstrap import Comparison

Values = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """A holdout on which models are compared by the items that its users chose after the cut.

    Each method returns the gate's metric of every user, float64 (n_users,).
    """

    configuration: Configuration
    holdout: Holdout

    @property
    def k(self) -> int:
        """The length of the lists."""
        return compared_length(self.configuration)

    def measured(self, artefact: Path) -> Values:
        """Return the values of a model that was measured on this holdout."""
        return self._values(self.holdout.lists_of(artefact, self.k, self.configuration.resources))

    def of_measured_models(self, artefacts: Mapping[str, Path], serving: Serving) -> Values:
        """Return the values of measured models, each for the users it serves."""

        def lists_of(artefact: Path, users: Longs) -> Ints:
            return self.holdout.lists_of(artefact, self.k, self.configuration.resources)[users]

        return self._served(artefacts, serving, lists_of)

    def of_foreign_models(
        self, artefacts: Mapping[str, Path], serving: Serving, item_ids: pa.Array
    ) -> Values:
        """Return the values of models trained on other items; `item_ids` are theirs, by index."""
        from models.artefact import load

        def lists_of(artefact: Path, users: Longs) -> Ints:
            resources = self.configuration.resources
            return self.holdout.lists(load(artefact), self.k, resources, item_ids=item_ids, users=users)

        return self._served(artefacts, serving, lists_of)

    def _served(
        self, artefacts: Mapping[str, Path], serving: Serving, lists_of: Callable[[Path, Longs], Ints]
    ) -> Values:
        """Return the values of served models; `lists_of` returns a model's lists for some users."""
        holdout = self.holdout
        model_indices = serving.assigned(holdout.past, holdout.lengths)[holdout.users]
        lists = np.full((len(holdout), self.k), -1, np.int32)
        for index, name in enumerate(serving.names):
            users = np.flatnonzero(model_indices == index)
            if len(users):
                lists[users] = lists_of(artefacts[name], users)
        return self._values(lists)

    def _values(self, lists: Ints) -> Values:
        from models.evaluation.metrics import match_lists

        metric, threads = self.configuration.quality.metric, self.configuration.resources.threads
        matches = match_lists(lists, self.holdout.relevant, [self.k], threads=threads)
        return matches.values([metric])[metric, self.k]


def compare(
    configuration: Configuration, values: Values, reference: Values, confidence: float = 0.95
) -> Comparison:
    """Return values minus reference, paired by user, with 2,000 resamples and the night's seed."""
    from models.evaluation.bootstrap import Bootstrap

    seed, threads = configuration.train.seed, configuration.resources.threads
    bootstrap = Bootstrap(seed=seed, confidence=confidence, threads=threads)
    return bootstrap.compare({"": values}, {"": reference})[""]
