"""The lists of all users, each from the model that serves them, with reasons."""

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
USERS = 8192  # users per block, with several models


@dataclass(frozen=True)
class ServedLists:
    """Loaded models, and the index of each user's model: `which` int32 (n_users,)."""

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
        self, n: int, *, exclude: Any, allowed: npt.NDArray[np.bool_], **limits: Any
    ) -> Iterator[tuple[int, TopN]]:
        """Yield blocks of (first user, lists); `limits` are the models' memory and threads."""
        from models.ranking.topn import TopN

        if len(self.models) == 1:
            yield from self.models[0].iter_recommend(
                self.histories, n, exclude=exclude, allowed=allowed, **limits
            )
            return
        for start in range(0, len(self.which), USERS):
            which = self.which[start : start + USERS]
            full = TopN.empty(len(which), n)
            for index, model in enumerate(self.models):
                positions = np.flatnonzero(which == index)
                if len(positions):
                    users = start + positions
                    seen = None if exclude is None else exclude[users]
                    top = model.recommend(
                        self.histories.rows(users), n, exclude=seen, allowed=allowed, **limits
                    )
                    full.items[positions], full.scores[positions] = top.items, top.scores
            yield start, full

    def reasons(self, items: Ints, users: slice) -> Ints:
        """Return the item of the user's history that explains each item, -1 without any.

        `items` int32 (n, k) of the n `users`; the result has the same shape.
        """
        from models.abilities import HasReasons

        behind = np.full(items.shape, -1, dtype=np.int32)
        which = self.which[users]
        for index, model in enumerate(self.models):
            positions = np.flatnonzero(which == index)
            if len(positions) and isinstance(model, HasReasons):
                histories = self.histories.rows(users.start + positions)
                behind[positions] = model.reasons(items[positions].astype(np.int32), histories)
        return behind
