"""A blend of models: the weighted sum of their scores."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from models import registry
from models.abilities import HasReasons, HasSimilarItems
from models.base import Model, ModelConfig
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.evaluation.activity import ACTIVITY, Activity, activity
from models.evaluation.window import SCORES, SHARES, USERS, Window, rolling_windows, sampled_size
from models.hybrid.learned_weights import STEPS, Scores, combinations, learned_combination
from models.options import Cost, Size, TrainingOptions
from models.ranking.topn import TopN
from models.recency.learned import LIBRARY_BYTES, WINDOW_BYTES

FloatArray = npt.NDArray[np.float32]
WEIGHTS = "weights"
Weights = dict[str, Annotated[float, Field(ge=0)]]


class BlendConfig(ModelConfig):
    """Configuration of a blend of models."""

    weights: Weights | Literal["learned"] = Field(
        default="learned",
        description="weight of each model, such as als = 0.7; learned: those of the candidates that best "
        "predict the last 40 % of the training events",
    )
    candidates: tuple[str, ...] = Field(
        default=("als", "ease", "item_knn", "pure_svd", "recent_popularity"),
        min_length=1,
        description="models to blend with learned weights",
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
        if isinstance(self.weights, str):
            return tuple(sorted(set(self.candidates)))
        tables = (self.weights, *self.weights_by_activity.values())
        return tuple(sorted({name for weights in tables for name, weight in weights.items() if weight > 0}))

    def without(self, names: Container[str]) -> dict[str, Any]:
        """Return other candidates for learned weights; none if no model for persons is left."""
        kept = tuple(name for name in self.candidates if name not in names)
        if self.weights != "learned" or not any(registry.model_class(name).personal for name in kept):
            return {}
        return {
            "candidates": kept,
            "settings": {name: values for name, values in self.settings.items() if name in kept},
        }

    @model_validator(mode="after")
    def _known_models(self) -> BlendConfig:
        if isinstance(self.weights, str) and self.weights_by_activity:
            raise ValueError("expected weights of each model beside weights_by_activity, got learned ones")
        tables = [] if isinstance(self.weights, str) else [self.weights, *self.weights_by_activity.values()]
        for weights in [dict.fromkeys(self.candidates, 1.0), *tables]:
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
    that user. Learned weights are those with the best lists on four windows of the last 40 % of the
    training events (models.evaluation.window), for models trained on the events before each
    (models.hybrid.learned_weights). If a user's activity (models/evaluation/activity.py) has its own weights,
    they replace the general ones.
    """

    name = "blend"
    Config = BlendConfig

    def __init__(self, config: BlendConfig | None = None) -> None:
        super().__init__(config)
        self._general: Weights = {}
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

    @classmethod
    def cost(cls, config: BlendConfig, size: Size) -> Cost:
        """Return the cost of its parts; with learned weights, also before each window."""
        total, learning = Cost(0, 0), Cost(0, 0)
        for name in config.parts:
            settings, model = registry.config(name, config.settings.get(name, {})), registry.model_class(name)
            total += model.cost(settings, size)
            if "half_life_days" in type(settings).model_fields:
                settings = settings.model_copy(update={"half_life_days": None})
            learning += model.cost(settings, sampled_size(size))
        if config.weights != "learned":
            return total
        compared = min(SCORES, USERS * size.items)
        combined = len(combinations(len(config.parts))) * compared
        seconds = sum(SHARES) * learning.seconds + len(SHARES) * 5e-9 * combined
        compared_bytes = 8.0 * len(config.parts) * compared + WINDOW_BYTES * sampled_size(size).pairs
        memory = total.kept + learning.memory + compared_bytes + LIBRARY_BYTES
        return total + Cost(seconds, memory)

    @classmethod
    def learned_settings(cls, config: BlendConfig, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return the learned weights, and the settings of the parts with what they have learned."""
        settings = {}
        for name, part_report in report["parts"].items():
            part = registry.config(name, config.settings.get(name, {}))
            learned = registry.model_class(name).learned_settings(part, part_report)
            if given := config.settings.get(name, {}) | learned:
                settings[name] = given
        return super().learned_settings(config, report) | {"settings": settings}

    def _fit(self, dataset: Dataset, options: TrainingOptions) -> None:
        windows: list[Window] = []
        if isinstance(self.config.weights, str):
            windows = rolling_windows(dataset)
            self._general = dict.fromkeys(self.config.parts if windows else self._personal, 1.0)
        else:
            self._general = dict(self.config.weights)
        for name in self.parts:
            if name in self._models or self._uses(name):
                self._train_part(name, dataset, options)
        if windows:
            self._general = self._learned(windows, replace(options, checkpoints=None, progress=None))
        self._models = {name: self._models[name] for name in self.parts if self._uses(name)}
        parts = {name: model.report for name, model in self._models.items()}
        self.report = {"weights": self._general, "parts": parts}

    def _train_part(self, name: str, dataset: Dataset, options: TrainingOptions) -> None:
        """Train a part, unless it was adopted; a candidate that learns nothing is none."""
        if name in self._models:
            if self._models[name].n_items != dataset.n_items:
                raise ModelError(f"model {name} was trained on other items than the blend")
            return
        options = replace(options, checkpoints=options.checkpoints and options.checkpoints / name)
        try:
            self._models[name] = registry.create(name, self.parts[name]).fit(dataset, options)
        except ModelError:
            del self._general[name]
            if self.config.weights != "learned" or not set(self._general) & set(self._personal):
                raise

    @property
    def _personal(self) -> tuple[str, ...]:
        """The names of the personal parts; of all without any."""
        names = self.config.parts
        return tuple(name for name in names if registry.model_class(name).personal) or names

    def _learned(self, windows: list[Window], options: TrainingOptions) -> dict[str, float]:
        """Return learned weights; the trained parts keep the half-lives that they have learned.

        A personal part always has a weight: without one, the blend would be a model that exists.
        """
        configs = {name: _settled(self._models[name]) for name in self._general}
        names = tuple(configs)

        def scores_after(number: int, window: Window) -> Scores:
            return _scores_after(names[number], configs[names[number]], window, options)

        personal = np.array([name in self._personal for name in names])
        best = learned_combination(windows, scores_after, personal)
        return {name: share / STEPS for name, share in zip(names, best, strict=True)}

    def _uses(self, name: str) -> bool:
        """Return whether a part has a weight above 0 for anybody."""
        tables = (self._general, *self.config.weights_by_activity.values())
        return any(weights.get(name, 0) > 0 for weights in tables)

    def similar_items(
        self, items: npt.NDArray[np.integer], n: int, *, allowed: npt.NDArray[np.bool_] | None = None
    ) -> TopN:
        """Return the similar items of the part with the largest weight that knows any."""
        for name in sorted(self._models, key=lambda name: -self._general.get(name, 0.0)):
            model = self._models[name]
            if isinstance(model, HasSimilarItems):
                return model.similar_items(items, n, allowed=self.eligible(allowed))
        return TopN.empty(len(items), n)

    def reasons(self, items: npt.NDArray[np.int32], histories: Histories) -> npt.NDArray[np.int32]:
        """Return the reasons of the part with the largest weight, then of the next for those without."""
        found = np.full(items.shape, -1, dtype=np.int32)
        for name in sorted(self._models, key=lambda name: -self._general.get(name, 0.0)):
            model = self._models[name]
            if isinstance(model, HasReasons):
                missing = np.flatnonzero(((found < 0) & (items >= 0)).any(axis=1))
                others = model.reasons(items[missing], histories.rows(missing))
                found[missing] = np.where(found[missing] < 0, others, found[missing])
        return found

    def _scores(self, histories: Histories) -> FloatArray:
        weights = self._weights(np.diff(histories.matrix.indptr))
        total = np.zeros((len(histories), self.n_items))
        for column, name in enumerate(self.config.parts):
            if weights[:, column].any():
                total += weights[:, column, None] * _standardised(self._models[name], histories)
        return total.astype(np.float32)

    def _weights(self, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the weights for users with ``lengths`` items, float64 (n_users, n_parts)."""
        special = {str(name): weights for name, weights in self.config.weights_by_activity.items()}
        tables = [special.get(name, self._general) for name in ACTIVITY]
        table = np.array([[weights.get(name, 0.0) for name in self.config.parts] for weights in tables])
        return np.asarray(table[activity(lengths)])

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {
            f"{name}.{key}": array
            for name, model in self._models.items()
            for key, array in model._arrays().items()
        }
        if self.config.weights == "learned":
            arrays[WEIGHTS] = np.array([self._general.get(name, 0.0) for name in self.config.parts])
        return arrays

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        if self.config.weights == "learned":
            learned = arrays[WEIGHTS]
            if learned.shape != (len(self.parts),) or learned.dtype != np.float64 or learned.min() < 0:
                raise ModelError(f"expected {WEIGHTS} float64 ({len(self.parts)},), got {learned!r:.100}")
            self._general = dict(zip(self.config.parts, learned.tolist(), strict=True))
        else:
            self._general = dict(self.config.weights)
        for name, config in self.parts.items():
            if not self._uses(name):
                continue
            model = registry.create(name, config)
            model.n_items, model.trained_items = self.n_items, self.trained_items
            prefix = f"{name}."
            model._restore(
                {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
            )
            self._models[name] = model


def _settled(model: Model[Any]) -> ModelConfig:
    """Return the configuration of a trained model with what it has learned."""
    config: ModelConfig = model.config
    return config.model_copy(update=model.learned_settings(config, model.report))


def _scores_after(name: str, config: ModelConfig, window: Window, options: TrainingOptions) -> Scores:
    """Return the scores of a model trained before a window; all alike if it learns nothing there."""
    try:
        return partial(_standardised, registry.create(name, config).fit(window.past, options))
    except ModelError:
        return lambda histories: np.zeros(histories.matrix.shape)


def _standardised(model: Model[Any], histories: Histories) -> npt.NDArray[np.float64]:
    """Return the standardised scores of a model, float64 (n_users, n_items)."""
    return _standardise(model._scores(histories).astype(np.float64), model.trained_items)


def _standardise(scores: npt.NDArray[np.float64], items: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Scale each user's scores (n_users, n_items) to mean 0 and variance 1 over ``items``."""
    known = scores[:, items]
    spread = known.std(axis=1, keepdims=True)
    shifted: npt.NDArray[np.float64] = scores - known.mean(axis=1, keepdims=True)
    np.divide(shifted, spread, out=shifted, where=spread > 0)
    shifted[~(spread > 0).ravel()] = 0
    return shifted
