"""Challengers: settings drawn near the incumbent's, far from them, or with another half-life."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from zlib import crc32

import numpy as np

from models import registry
from models.errors import ModelError
from models.search_space import Choice, Range
from tasks.incumbents.document import Challenger, Settings

HALF_LIFE: Final = "half_life_days"
LEARNED: Final = "learned"
PLANNED: Final = ("epochs",)  # settings that the plan of the minutes may change
ROLES: Final = ("shorter", "near", "longer", "far")
RECENCY: Final = ("shorter", "longer")
SHORTER: Final = (1 / 16, 1 / 2)  # of the incumbent's half-life
LONGER: Final = (2.0, 8.0)
LEAST: Final = 1 / 24  # days
STEP: Final = 0.15  # of the width of a range: the deviation of a near draw
CHANGED: Final = 0.5  # the chance that a near draw changes a setting
TRIES: Final = 20
Draw = np.random.Generator


@dataclass(frozen=True)
class Ground:
    """What a model's challengers are drawn from.

    `configured` are the settings that the configuration names, which stay. `half_life` (days) is the
    one that the incumbent's training used, None if its weights do not decay; `span` (days) is that of
    the training events.
    """

    model: str
    configured: Mapping[str, Any]
    incumbent: Settings
    half_life: float | None
    span: float
    seed: int
    as_of: date

    def value(self, name: str) -> Any:
        """Return the incumbent's value of a setting."""
        return getattr(registry.config(self.model, {**self.configured, **self.incumbent}), name)


def variable(model: str, configured: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings of a model that challengers may change: those not configured, by name."""
    kind = registry.model_class(model)
    names = {*kind.space, *({HALF_LIFE} & set(kind.Config.model_fields))}
    return tuple(sorted(names - set(configured) - set(PLANNED)))


def draw(ground: Ground, number: int, roles: Collection[str], taken: Collection[Settings]) -> Challenger | None:
    """Return the next challenger, with the first role in turn that is not among `roles`.

    It depends on the seed, the date, the model, the incumbent and the number alone. None if nothing
    new was drawn, such as for a model with two possible settings.
    """
    possible = _roles(ground)
    turned = [possible[(number - 1 + step) % len(possible)] for step in range(len(possible))]
    role = next((role for role in turned if role not in roles), turned[0])
    random = np.random.default_rng(
        [ground.seed, ground.as_of.toordinal(), crc32(ground.model.encode()), number]
    )
    for _ in range(TRIES):
        settings = _without_defaults(ground, {**ground.incumbent, **_drawn(ground, role, random)})
        known = [ground.incumbent, *taken]
        if settings not in known and _valid(ground, settings):
            return Challenger(number=number, role=role, settings=settings)
    return None


def _roles(ground: Ground) -> tuple[str, ...]:
    """Return the roles that a model's challengers can have."""
    names = variable(ground.model, ground.configured)
    kept = [role for role in ROLES if role not in RECENCY or HALF_LIFE in names]
    others = [name for name in names if name != HALF_LIFE]
    return tuple(role for role in kept if role in RECENCY or others)


def _drawn(ground: Ground, role: str, random: Draw) -> Settings:
    """Return the settings that a draw changes."""
    if role == "shorter":
        return {HALF_LIFE: _multiplied(ground.half_life or ground.span, SHORTER, random)}
    if role == "longer":
        return {HALF_LIFE: _longer(ground, random)}
    space = registry.model_class(ground.model).space
    names = [name for name in variable(ground.model, ground.configured) if name in space and name != HALF_LIFE]
    if role == "far":
        return {name: _anywhere(space[name], random) for name in names}
    chosen = [name for name in names if random.random() < CHANGED] or [names[random.integers(len(names))]]
    return {name: _nearby(space[name], ground.value(name), random) for name in chosen}


def _longer(ground: Ground, random: Draw) -> Any:
    """Return a longer half-life, none, or a learned one, whichever the incumbent does not have."""
    options: list[Any] = [value for value in (None, LEARNED) if value != ground.value(HALF_LIFE)]
    if ground.half_life is not None:
        options.append(_multiplied(ground.half_life, LONGER, random))
    return options[int(random.integers(len(options)))]


def _multiplied(half_life: float, bounds: tuple[float, float], random: Draw) -> float:
    return _rounded(max(LEAST, half_life * math.exp(random.uniform(*map(math.log, bounds)))))


def _anywhere(kind: Range | Choice, random: Draw) -> Any:
    """Return a value of a range or a choice, each as likely."""
    if isinstance(kind, Choice):
        return kind.values[int(random.integers(len(kind.values)))]
    return _scaled(kind, random.random())


def _nearby(kind: Range | Choice, value: Any, random: Draw) -> Any:
    """Return a value of a range at a normal distance from the present one; of a choice, any."""
    if isinstance(kind, Choice):
        return _anywhere(kind, random)
    low, high, now = (math.log(x) if kind.log else float(x) for x in (kind.low, kind.high, max(value, kind.low)))
    return _scaled(kind, (now - low) / (high - low) + STEP * random.standard_normal())


def _scaled(kind: Range, share: float) -> Any:
    """Return the value at a share of a range's width, cut to the range."""
    share = min(max(share, 0.0), 1.0)
    if kind.log:
        value = math.exp(math.log(kind.low) + share * math.log(kind.high / kind.low))
    else:
        value = kind.low + share * (kind.high - kind.low)
    return round(value) if kind.whole else min(max(_rounded(value), kind.low), kind.high)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _without_defaults(ground: Ground, settings: Settings) -> Settings:
    """Return settings without those that the model has anyway, by name."""
    plain = registry.config(ground.model, ground.configured)
    return {name: value for name, value in sorted(settings.items()) if value != getattr(plain, name)}


def _valid(ground: Ground, settings: Settings) -> bool:
    try:
        registry.config(ground.model, {**ground.configured, **settings})
    except ModelError:
        return False
    return True
