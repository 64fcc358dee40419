"""Recent popularity: the same ranking for every user, by recent events."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from models.base import ModelConfig
from models.baselines.popularity import SameForAll
from models.dataset import Dataset
from models.errors import ModelError
from models.options import TrainingOptions
from models.search_space import Range, Space

DAY = 86_400 * 10**6  # microseconds


class RecentPopularityConfig(ModelConfig):
    """Configuration of recent popularity."""

    half_life_days: float | None = Field(
        default=30.0, gt=0, description="age at which an item's user counts half; none: all count alike"
    )
    window_days: float | None = Field(
        default=None, gt=0, description="only events of the last N days count; none: all count"
    )

    @model_validator(mode="after")
    def _has_recency(self) -> RecentPopularityConfig:
        if self.half_life_days is None and self.window_days is None:
            raise ValueError("expected half_life_days or window_days: without both, use the model popularity")
        return self


class RecentPopularity(SameForAll[RecentPopularityConfig]):
    """An item's score is the sum over its users of 2^(-age / half-life), by their last events.

    The age of a user's last event with the item is relative to the latest training event. Only
    pairs with a training weight count. Ji et al. 2020, "A Re-visit of the Popularity Baseline in
    Recommender Systems", explain why this baseline belongs beside popularity. Items without an
    event in the window are never recommended.
    """

    name = "recent_popularity"
    Config = RecentPopularityConfig
    space: ClassVar[Space] = {"half_life_days": Range(0.5, 1000.0, log=True)}

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:  # noqa: ARG002
        sequences, matrix = dataset.sequences, dataset.matrix
        if sequences is None:
            raise ModelError("expected sequences with timestamps to train recent_popularity, got none")
        users = np.repeat(np.arange(len(sequences)), sequences.lengths)
        rows = np.repeat(np.arange(dataset.n_users), np.diff(matrix.indptr))
        events = users * self.n_items + sequences.items
        kept = np.isin(events, rows * self.n_items + matrix.indices)
        if not kept.any():
            raise ModelError("expected events of the trained pairs in the sequences, got none")
        ages = (sequences.timestamps.max() - sequences.timestamps) / DAY
        pairs, last = np.unique(
            events[kept][::-1], return_index=True
        )  # reversed: the first index is the last event
        age = ages[kept][::-1][last]
        half_life, window = self.config.half_life_days, self.config.window_days
        gains = np.ones(len(pairs)) if half_life is None else np.exp2(-age / half_life)
        if window is not None:
            gains[age > window] = 0
        self._popularity = np.bincount(pairs % self.n_items, gains, self.n_items).astype(np.float32)
