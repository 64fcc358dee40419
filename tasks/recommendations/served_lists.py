"""The lists of all users, each by the model that serves them, with the reasons behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.recommendations.serving import Serving

if TYPE_CHECKING:
    from models.dataset import Histories
    from models.ranking.topn import TopN

Ints = npt.NDArray[np.int32]
USERS = 8192  # users whose lists are put together from several models at a time


@dataclass(frozen=True)
class ServedLists:
    """Loaded models, and for each user of a dataset which of them; int32 (n_users,)."""

    models: tuple[Any, ...]
    which: Ints
    histories: Histories

    @classmethod
    def of(
        cls,
        artefacts: Mapping[str, Path] | Path,
        serving: Serving | None,
        dataset: Path,
        histories: Histories,
    ) -> ServedLists:
        """Load the served models; a single artefact serves everybody."""
        from models.artefact import load

        if serving is None or isinstance(artefacts, Path):
            single = artefacts if isinstance(artefacts, Path) else next(iter(artefacts.values()))
            return cls((load(single),), np.zeros(len(histories), np.int32), histories)
        which = serving.assigned(dataset, np.diff(histories.matrix.indptr))
        return cls(tuple(load(artefacts[name]) for name in serving.names), which, histories)

    def blocks(
        self, n: int, *, exclude: Any, allowed: npt.NDArray[np.bool_], **how: Any
    ) -> Iterator[tuple[int, TopN]]:
        """Yield (first user, lists) block after block; `how` is for the models (memory, threads)."""
        from models.ranking.topn import TopN

        if len(self.models) == 1:
            yield from self.models[0].iter_recommend(
                self.histories, n, exclude=exclude, allowed=allowed, **how
            )
            return
        for start in range(0, len(self.which), USERS):
            which = self.which[start : start + USERS]
            full = TopN.empty(len(which), n)
            for at, model in enumerate(self.models):
                own = np.flatnonzero(which == at)
                if len(own):
                    users = start + own
                    seen = None if exclude is None else exclude[users]
                    top = model.recommend(self.histories.rows(users), n, exclude=seen, allowed=allowed, **how)
                    full.items[own], full.scores[own] = top.items, top.scores
            yield start, full

    def reasons(self, items: Ints, users: slice) -> Ints:
        """Return an item of the user's history behind each item, -1 where the model has no item vectors."""
        from models.base import Factorised
        from models.ranking.reasons import reasons

        found = np.full(items.shape, -1, dtype=np.int32)
        which = self.which[users]
        for at, model in enumerate(self.models):
            own = np.flatnonzero(which == at)
            if len(own) and isinstance(model, Factorised):
                histories = self.histories.matrix[users.start + own]
                found[own] = reasons(items[own].astype(np.int32), histories, model.item_vectors())
        return found
