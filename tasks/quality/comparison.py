"""Sets of models asked about the same users and events, whatever items each was trained on."""

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
    """What is asked: for the users of a holdout, the items that they met after it.

    An answer is the metric of the gate for each user, float64 (n_users,).
    """

    configuration: Configuration
    holdout: Holdout

    @property
    def k(self) -> int:
        """The length of the lists."""
        return compared_length(self.configuration)

    def measured(self, artefact: Path) -> Values:
        """Return the answer of one model that was measured on this holdout."""
        return self._judged(self.holdout.lists_of(artefact, self.k, self.configuration.resources))

    def measured_together(self, artefacts: Mapping[str, Path], serving: Serving) -> Values:
        """Return the answer of models that were measured on this holdout, each for those it serves."""

        def ask(artefact: Path, users: Longs) -> Ints:
            return self.holdout.lists_of(artefact, self.k, self.configuration.resources)[users]

        return self._served(artefacts, serving, ask)

    def asked(self, artefacts: Mapping[str, Path], serving: Serving, item_ids: pa.Array) -> Values:
        """Return the answer of models trained on other items, with these ids by index."""
        from models.artefact import load

        def ask(artefact: Path, users: Longs) -> Ints:
            resources = self.configuration.resources
            return self.holdout.lists(load(artefact), self.k, resources, item_ids=item_ids, users=users)

        return self._served(artefacts, serving, ask)

    def _served(
        self, artefacts: Mapping[str, Path], serving: Serving, ask: Callable[[Path, Longs], Ints]
    ) -> Values:
        """Judge lists of served models; `ask` gives those of a model for some of the users."""
        holdout = self.holdout
        which = serving.assigned(holdout.past, holdout.lengths)[holdout.users]
        lists = np.full((len(holdout), self.k), -1, np.int32)
        for at, name in enumerate(serving.names):
            users = np.flatnonzero(which == at)
            if len(users):
                lists[users] = ask(artefacts[name], users)
        return self._judged(lists)

    def _judged(self, lists: Ints) -> Values:
        from models.evaluation.metrics import judge

        metric, threads = self.configuration.quality.metric, self.configuration.resources.threads
        judged = judge(lists, self.holdout.relevant, [self.k], threads=threads)
        return judged.values([metric])[metric, self.k]


def compare(
    configuration: Configuration, values: Values, others: Values, confidence: float = 0.95
) -> Comparison:
    """Return the values less the others, paired by user: 2,000 resamples, the seed of the night."""
    from models.evaluation.bootstrap import Bootstrap

    seed, threads = configuration.train.seed, configuration.resources.threads
    boot = Bootstrap(seed=seed, confidence=confidence, threads=threads)
    return boot.compare({"": values}, {"": others})[""]
