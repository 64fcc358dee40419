"""The incumbents of a night: read from the release before, and put into the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.configuration.configuration import Configuration
from tasks.evaluation.model_metrics import compared_length
from tasks.incumbents.document import FACT, Incumbents, read_incumbents
from tasks.incumbents.sentences import settings_text
from tasks.release.releases import Release


def metric_of(configuration: Configuration) -> str:
    """Return the name of the metric that judges challengers: the quality gate's."""
    return f"{configuration.quality.metric}@{compared_length(configuration)}"


def carried(configuration: Configuration, before: Release | None) -> tuple[Incumbents, list[str]]:
    """Return the state that a release left, and a sentence for each model that loses its incumbent.

    A model begins anew if its settings in the configuration have changed: what was learned was
    learned beside others. StoreError if the manifest cannot be read.
    """
    metric = metric_of(configuration)
    state = read_incumbents(before.manifest().get(FACT) if before else None, metric)
    kept, lost = dict(state.models), list[str]()
    for model, incumbent in state.models.items():
        configured = configuration.models.get(model, {})
        if _as_json(incumbent.configured) == _as_json(configured) and _valid(
            model, configured, incumbent.settings
        ):
            continue
        del kept[model]
        if incumbent.settings:
            learned = settings_text({}, incumbent.settings)
            lost.append(
                f"[models.{model}] changed, so the settings that challengers had won are given up: {learned}"
            )
    return state.model_copy(update={"models": kept}), lost


def tuned(configuration: Configuration, state: Incumbents | None) -> Configuration:
    """Return the configuration with the incumbents' settings; those that it names itself stay."""
    if state is None:
        return configuration
    models = dict(configuration.models)
    for name, incumbent in state.models.items():
        if incumbent.settings:
            models[name] = {**incumbent.settings, **models.get(name, {})}
    return configuration.model_copy(update={"models": models})


def _valid(model: str, configured: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Return whether a model still accepts what it had learned."""
    from models import registry
    from models.errors import ModelError

    try:
        registry.config(model, {**configured, **settings})
    except ModelError:
        return False
    return True


def _as_json(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)
