"""A blend of models: the weighted sum of their scores."""

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
        default={"als": 0.5, "item_knn": 0.5}, description="weight of each model, such as als = 0.7"
    )
    weights_by_activity: dict[Activity, Weights] = Field(
        default={}, description="other weights for users with few or many items in their history"
    )
    settings: dict[str, dict[str, Any]] = Field(
        default={}, description="settings of the blended models; a night takes them from [models]"
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """The sorted names of the blended models: all with a weight above 0 anywhere."""
        tables = (self.weights, *self.weights_by_activity.values())
        return tuple(sorted({name for weights in tables for name, weight in weights.items() if weight > 0}))

    @model_validator(mode="after")
    def _known_models(self) -> BlendConfig:
        for weights in (self.weights, *self.weights_by_activity.values()):
            for name in weights:
                if name == Blend.name or not registry.is_known(name):
                    possible = [name for name in registry.known() if name != Blend.name]
                    raise ValueError(f"expected models among {', '.join(possible)}, got {name!r}")
            if not any(weights.values()):
                raise ValueError(f"expected a weight above 0, got {weights}")
        if set(self.settings) - set(self.parts):
            raise ValueError(f"expected settings of {', '.join(self.parts)}, got {sorted(self.settings)}")
        for name in self.parts:
            registry.config(name, self.settings.get(name, {}))
        return self


class Blend(Model[BlendConfig]):
    """An item's score is the weighted sum of its standardised scores by several models.

    score(u, i) = sum over the models m of w_m * z_m(u, i). z_m are the scores of m for u, shifted
    to mean 0 and scaled to variance 1 over the trained items. Models with scores on different
    scales then contribute by their weights (ZMUV of Montague, Aslam 2001, "Relevance score
    normalization for metasearch"). A model that scores all items alike for a user adds nothing for
    that user. If a user's activity (models/activity.py) has its own weights, they replace the
    general ones.
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
        """Use a trained part in the next fit; it must have been trained on the same data."""
        if self.parts.get(model.name) != model.config:
            raise ModelError(f"model {model.name} is not a part of this blend, or has other settings")
        self._models[model.name] = model

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        for name, config in self.parts.items():
            if name in self._models:
                if self._models[name].n_items != dataset.n_items:
                    raise ModelError(f"model {name} was trained on other items than the blend")
                continue
            folder = options.checkpoints and options.checkpoints / name
            trained = registry.create(name, config).fit(dataset, replace(options, checkpoints=folder))
            self._models[name] = trained
        self.report = {"parts": {name: self._models[name].report for name in self.parts}}

    def _scores(self, histories: Histories) -> FloatArray:
        weights = self._weights(np.diff(histories.matrix.indptr))
        total = np.zeros((len(histories), self.n_items))
        for column, name in enumerate(self.config.parts):
            scores = self._models[name]._scores(histories).astype(np.float64)
            total += weights[:, column, None] * _standardise(scores, self.trained_items)
        return total.astype(np.float32)

    def _weights(self, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the weights for users with ``lengths`` items, float64 (n_users, n_parts)."""
        special = {str(name): weights for name, weights in self.config.weights_by_activity.items()}
        tables = [special.get(name, self.config.weights) for name in ACTIVITY]
        table = np.array([[weights.get(name, 0.0) for name in self.config.parts] for weights in tables])
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
            prefix = f"{name}."
            model._restore(
                {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
            )
            self._models[name] = model


def _standardise(scores: npt.NDArray[np.float64], items: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Scale each user's scores (n_users, n_items) to mean 0 and variance 1 over ``items``."""
    known = scores[:, items]
    spread = known.std(axis=1, keepdims=True)
    shifted: npt.NDArray[np.float64] = scores - known.mean(axis=1, keepdims=True)
    np.divide(shifted, spread, out=shifted, where=spread > 0)
    shifted[~(spread > 0).ravel()] = 0
    return shifted
