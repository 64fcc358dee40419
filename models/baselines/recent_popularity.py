"""Recent popularity: the same ranking for every user, by recent events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from models.base import ModelConfig
from models.baselines.popularity import SameForAll
from models.dataset import Dataset
from models.options import Cost, Size, TrainingOptions
from models.recency.half_life import DAY, PairEvents, learn_half_life, learning_seconds
from models.search_space import Range, Space

EVER = 1e6  # days: longer than any log
Days = Annotated[float, Field(gt=0)]


class RecentPopularityConfig(ModelConfig):
    """Configuration of recent popularity."""

    half_life_days: Days | Literal["learned"] | None = Field(
        default="learned",
        description="age at which an item's user counts half; learned: the one that best predicts the "
        "last 40 % of the events; none: all count alike",
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
    Recommender Systems", explain why this baseline belongs beside popularity. How fast a catalogue
    turns over is a property of the log, from an hour for news to years for films: by default, the
    half-life is learned (models.recency.half_life). Items without an event in the window, or with
    a score below the least float32, are never recommended.
    """

    name = "recent_popularity"
    Config = RecentPopularityConfig
    space: ClassVar[Space] = {"half_life_days": Range(1 / 24, 1000.0, log=True)}

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:  # noqa: ARG002
        events = PairEvents.of(dataset)
        last = events.last()
        latest, configured = int(last.times.max()), self.config.half_life_days
        if configured == "learned":
            half_life = learn_half_life(events)
        else:
            half_life = None if configured is None else configured * DAY
        if self.config.window_days is not None:
            last = last.since(latest - self.config.window_days * DAY)
        self._popularity = last.popularity(latest, half_life)
        self.report["half_life_days"] = None if half_life is None else half_life / DAY

    @classmethod
    def learned_settings(cls, config: RecentPopularityConfig, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return the half-life that was learned; without one, a window that all events are in."""
        learned = super().learned_settings(config, report)
        if "half_life_days" in learned and learned["half_life_days"] is None and config.window_days is None:
            learned["window_days"] = EVER
        return learned

    @classmethod
    def cost(cls, config: RecentPopularityConfig, size: Size) -> Cost:
        """Return the cost of learning the half-life, if it is not given."""
        learning = learning_seconds(size) if config.half_life_days == "learned" else 0.0
        return super().cost(config, size) + Cost(learning, 70.0 * size.pairs)
