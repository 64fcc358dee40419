"""The models by name: one line a model, imported when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from pydantic import ValidationError

from models.base import Model, ModelConfig
from models.errors import ModelError

_MODELS = {
    "als": "models.factors.als:ALS",
    "blend": "models.hybrid.blend:Blend",
    "item_knn": "models.neighbours.item_knn:ItemKNN",
    "mult_vae": "models.neural.mult_vae:MultVAE",
    "popularity": "models.baselines.popularity:Popularity",
    "random": "models.baselines.random_order:RandomOrder",
    "recent_popularity": "models.baselines.recent_popularity:RecentPopularity",
}


def known() -> tuple[str, ...]:
    """Return the names of all models, sorted."""
    return tuple(sorted(_MODELS))


def model_class(name: str) -> type[Model[Any]]:
    """Return the class of a model; ModelError for a name that is not known."""
    if name not in _MODELS:
        raise ModelError(f"unknown model {name[:100]!r} in [models]; known: {', '.join(known())}")
    module, _, attribute = _MODELS[name].partition(":")
    return cast("type[Model[Any]]", getattr(import_module(module), attribute))


def config(name: str, values: Mapping[str, Any]) -> ModelConfig:
    """Return the checked configuration of a model; ModelError names an unknown key or a bad value."""
    kind = model_class(name).Config
    fields = ", ".join(sorted(kind.model_fields))
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                problems.append(f"unknown key '{key}' in models.{name}; known: {fields}")
            else:
                problems.append(
                    f"bad value of models.{name}.{key}: {problem['msg']}, got {problem['input']!r}"
                )
        raise ModelError("; ".join(problems)) from error


def parts(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the models that a model with these settings is made of; most are made of none."""
    if model_class(name).Config.parts is ModelConfig.parts:
        return ()
    return config(name, values).parts


def create(name: str, settings: ModelConfig | Mapping[str, Any] | None = None) -> Model[Any]:
    """Return a new model of that name, from its configuration, a mapping, or its defaults."""
    if not isinstance(settings, ModelConfig):
        settings = config(name, settings or {})
    return model_class(name)(settings)
