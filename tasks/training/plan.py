"""Which models fit the budget of a night, by what their trainings are expected to cost.

The plan follows from the configuration and the size of the data alone, so the same night has the
same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.options import Cost, Size
    from tasks.configuration.configuration import Configuration

FEWEST_EPOCHS = 10  # a training that could run fewer is left out
TRAININGS = 2  # of each model: to be measured, and to serve


@dataclass(frozen=True)
class Plan:
    """The expected seconds of each model's training, changed settings, and why models are left out.

    `left` are the seconds of the budget that no model needs.
    """

    seconds: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]
    left: float


def make_plan(configuration: Configuration, users: int, items: int, pairs: int, products: float = 0) -> Plan:
    """Return the plan of a night: the cheapest models first, while there are minutes and memory.

    A model that is trained in epochs gets as many as are left time for, at least 10, unless its
    configuration names their number. A model made of others, with parts that the configuration does
    not name, does without those that do not fit. What does not fit is left out, with what it would
    need. A model that the configuration names to serve always stays.
    """
    from models import registry
    from models.options import Size

    named = {configuration.train.serve, *configuration.train.serve_by_segment.models.values()}
    budget, memory = 60 * configuration.train.minutes, configuration.resources.memory
    size = Size(users, items, pairs, products)
    costs = {
        name: _cost(configuration, name, _without_parts(configuration, name, size, {}), size)
        for name in configuration.train.models
    }
    seconds: dict[str, float] = {}
    settings: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    spent = 0.0
    for name in sorted(costs, key=lambda name: (name not in named, costs[name].seconds)):
        changes = _without_parts(configuration, name, size, left_out)
        one, left = _cost(configuration, name, changes, size), budget - spent
        cost = TRAININGS * one.seconds
        if name not in named and one.refusal:
            left_out[name] = one.refusal
            continue
        if name not in named and one.memory > memory:
            need = one.memory / 2**30
            left_out[name] = f"it would need about {need:.1f} GiB, more than [engine] memory"
            continue
        if name not in named and cost > left:
            epochs = getattr(registry.config(name, configuration.settings_of(name)), "epochs", 0)
            fitting = int(epochs * max(left, 0) / cost)
            if "epochs" in configuration.settings_of(name) or fitting < FEWEST_EPOCHS:
                left_out[name] = (
                    f"it would take about {_minutes(cost)}, with {_minutes(max(left, 0))} left of the "
                    f"{configuration.train.minutes:g} of [train] minutes"
                )
                continue
            changes = changes | {"epochs": fitting}
            cost *= fitting / epochs
        if changes:
            settings[name] = changes
        seconds[name] = cost / TRAININGS
        spent += cost
    return Plan(seconds, settings, left_out, max(budget - spent, 0.0))


def _cost(configuration: Configuration, name: str, changes: Mapping[str, Any], size: Size) -> Cost:
    """Return the cost of a training with the configured settings and some changes."""
    from models import registry

    config = registry.config(name, configuration.settings_of(name) | dict(changes))
    return registry.model_class(name).cost(config, size)


def _without_parts(
    configuration: Configuration, name: str, size: Size, left_out: Mapping[str, str]
) -> dict[str, Any]:
    """Return the changes by which a model does without parts that do not fit; none if it names them."""
    from models import registry

    config = registry.config(name, configuration.settings_of(name))
    if config.parts != type(config)().parts:
        return {}

    def fits(part: str) -> bool:
        cost = _cost(configuration, part, {}, size)
        needed = cost.memory + cost.kept  # one is trained for each window, beside the one that serves
        return part not in left_out and not cost.refusal and needed <= configuration.resources.memory

    gone = [part for part in config.parts if not fits(part)]
    return config.without(gone) if gone else {}


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds < 600 else f"{seconds / 60:,.0f} minutes"
