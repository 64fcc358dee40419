"""Several models in one: a weighted sum of their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models import registry
from models.activity import ACTIVITY, Activity, activity
from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.options import TrainingOptions

FloatArray = npt.NDArray[np.float32]
Weights = dict[str, Annotated[float, Field(ge=0)]]


class BlendConfig(ModelConfig):
    """Configuration of a blend of models."""

    weights: Weights = Field(
        default={"als": 0.5, "item_knn": 0.5}, description="the weight of each model, such as als = 0.7"
    )
    weights_by_activity: dict[Activity, Weights] = Field(
        default={}, description="other weights for users with few or many items in their history"
    )
    settings: dict[str, dict[str, Any]] = Field(
        default={}, description="settings of the blended models; those of [models] where a night trains it"
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the blended models, sorted: those that have a weight anywhere."""
        given = (self.weights, *self.weights_by_activity.values())
        return tuple(sorted({name for weights in given for name, weight in weights.items() if weight > 0}))

    @model_validator(mode="after")
    def _known(self) -> BlendConfig:
        for weights in (self.weights, *self.weights_by_activity.values()):
            for name in weights:
                if name == Blend.name or not registry.is_known(name):
                    possible = [name for name in registry.known() if name != Blend.name]
                    raise ValueError(f"expected models among {', '.join(possible)}, got {name!r}")
            if not any(weights.values()):
                raise ValueError(f"expected a weight above 0, got {weights}")
        if set(self.settings) - set(self.parts):
            raise ValueError(f"settings: expected of {', '.join(self.parts)}, got {sorted(self.settings)}")
        for name in self.parts:
            registry.config(name, self.settings.get(name, {}))
        return self


class Blend(Model[BlendConfig]):
    """An item's score is the weighted sum of what several models make of it.

    score(u, i) = sum over the models m of w_m * z_m(u, i), where z_m are the scores of m for u, over the
    items that were trained on, shifted to mean 0 and scaled to variance 1: models whose scores have other
    units then weigh what their weights say (ZMUV of Montague, Aslam 2001, "Relevance score normalization for
    metasearch"). A model that gives a user the same score for every item says nothing about that user. The
    weights of a user are those of their activity (models/activity.py), where it has its own.
    """

    name = "blend"
    Config = BlendConfig

    def __init__(self, config: BlendConfig | None = None) -> None:
        super().__init__(config)
        self._models: dict[str, Model[Any]] = {}

    @property
    def parts(self) -> Mapping[str, ModelConfig]:
        """The configuration of each blended model, by name."""
        return {name: registry.config(name, self.config.settings.get(name, {})) for name in self.config.parts}

    def adopt(self, model: Model[Any]) -> None:
        """Take a model that is trained already for the next fit; it must be one of ours, on the same data."""
        if self.parts.get(model.name) != model.config:
            raise ModelError(f"model {model.name} is none of this blend's, or has other settings")
        self._models[model.name] = model

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        for name, config in self.parts.items():
            if name in self._models:
                if self._models[name].n_items != dataset.n_items:
                    raise ModelError(f"model {name} was trained on other items than the blend is")
                continue
            folder = options.checkpoints and options.checkpoints / name
            trained = registry.create(name, config).fit(dataset, replace(options, checkpoints=folder))
            self._models[name] = trained
        self.report = {"parts": {name: self._models[name].report for name in self.parts}}

    def _scores(self, histories: Histories) -> FloatArray:
        weights = self._weights(np.diff(histories.matrix.indptr))
        total = np.zeros((len(histories), self.n_items))
        for place, name in enumerate(self.config.parts):
            scores = self._models[name]._scores(histories).astype(np.float64)
            total += weights[:, place, None] * _standardised(scores, self.trained_items)
        return total.astype(np.float32)

    def _weights(self, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the weight of each model for users with so many items, float64 (n_users, n_parts)."""
        special = {str(name): weights for name, weights in self.config.weights_by_activity.items()}
        own = [special.get(name, self.config.weights) for name in ACTIVITY]
        table = np.array([[weights.get(name, 0.0) for name in self.config.parts] for weights in own])
        return np.asarray(table[activity(lengths)])

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{name}.{key}": array
            for name in self.config.parts
            for key, array in self._models[name]._arrays().items()
        }

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        for name, config in self.parts.items():
            model = registry.create(name, config)
            model.n_items, model.trained_items = self.n_items, self.trained_items
            head = f"{name}."
            model._restore({key.removeprefix(head): a for key, a in arrays.items() if key.startswith(head)})
            self._models[name] = model


def _standardised(scores: npt.NDArray[np.float64], among: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return scores (n_users, n_items) with mean 0 and variance 1 a user over the items `among`."""
    known = scores[:, among]
    spread = known.std(axis=1, keepdims=True)
    shifted: npt.NDArray[np.float64] = scores - known.mean(axis=1, keepdims=True)
    np.divide(shifted, spread, out=shifted, where=spread > 0)
    shifted[~(spread > 0).ravel()] = 0
    return shifted
