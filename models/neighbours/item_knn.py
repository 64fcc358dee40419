"""Item-based nearest neighbours."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, get_args

from pydantic import Field

from models.dataset import Dataset
from models.neighbours.lists import ItemLists, ListsConfig
from models.neighbours.measures import Compared, MeasuredConfig
from models.neighbours.weighting import Weighting
from models.options import Cost, Size, TrainingOptions
from models.recency.decay import Decay
from models.recency.learned import decay_of, learning_cost
from models.search_space import Choice, Range, Space


class ItemKNNConfig(MeasuredConfig, ListsConfig):
    """Configuration of item-based nearest neighbours."""

    weighting: Weighting = Field(default="bm25", description="weights of the item columns that are compared")


class ItemKNN(ItemLists[ItemKNNConfig]):
    """Recommends items that are similar to those in the history (models.neighbours.lists).

    The similarity of two items is measured on their columns over users, whose weights are changed
    first (models.neighbours.weighting); see models.neighbours.measures.
    """

    name = "item_knn"
    Config = ItemKNNConfig
    space: ClassVar[Space] = {
        "neighbours": Range(10, 800, log=True),
        "weighting": Choice(get_args(Weighting)),
        "shrink": Range(1.0, 2000.0, log=True),
        "normalisation": Range(0.0, 1.0),
    }

    @classmethod
    def cost(cls, config: ItemKNNConfig, size: Size) -> Cost:
        """Return the cost of the lists, and of learning a half-life."""
        own = cls.listing_cost(config, size)
        return own + learning_cost(config.half_life_days, partial(cls.cost, _cheap(config)), size)

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        self._decay = decay_of(
            self.config.half_life_days,
            dataset,
            lambda _: ItemKNN(_cheap(self.config)),
            options,
            Decay.scaled_dataset,
        )
        self.report["half_life_days"] = self._decay.days
        by_item = self._decay.scaled_dataset(dataset).matrix.T.tocsr()
        compared = Compared.of(by_item, self.config)
        self._keep(compared.nearest_others(self.config.neighbours, options.workers))


def _cheap(config: ItemKNNConfig) -> ItemKNNConfig:
    """Return the settings that learn the half-life: the same, without decay."""
    return config.model_copy(update={"half_life_days": None})
