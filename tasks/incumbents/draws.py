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
PLAIN, FORMER = "plain", "former"
ROLES: Final = (PLAIN, "shorter", "near", "longer", "far", "shortest")
RECENCY: Final = ("shorter", "longer", "shortest")
SHORTER: Final = (1 / 6, 2 / 3)  # of the incumbent's half-life
SHORTEST: Final = (1 / 30, 1 / 6)
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


def draw(
    ground: Ground, number: int, roles: Collection[str], taken: Collection[Settings]
) -> Challenger | None:
    """Return the next challenger: of the first role in turn that is not among `roles`, if possible.

    The roles: `plain` has the configured settings, once an incumbent has others; `shorter`,
    `shortest` and `longer` change the half-life alone; `near` changes some settings a little, `far`
    all of them. The draw depends on the seed, the date, the model, the incumbent and the number
    alone. None if nothing new was drawn, such as for a model with two possible settings.
    """
    possible = _roles(ground)
    turned = [possible[(number - 1 + step) % len(possible)] for step in range(len(possible))]
    random = np.random.default_rng(
        [ground.seed, ground.as_of.toordinal(), crc32(ground.model.encode()), number]
    )
    known = [ground.incumbent, *taken]
    for role in sorted(turned, key=lambda role: role in roles):  # stable
        for _ in range(TRIES):
            settings = _without_defaults(ground, _drawn(ground, role, random))
            if settings not in known and _valid(ground, settings):
                return Challenger(number=number, role=role, settings=settings)
    return None


def _roles(ground: Ground) -> tuple[str, ...]:
    """Return the roles that a model's challengers can have."""
    names = variable(ground.model, ground.configured)
    others = [name for name in names if name != HALF_LIFE]
    possible = {PLAIN: bool(ground.incumbent), **dict.fromkeys(RECENCY, HALF_LIFE in names)}
    possible["longer"] &= bool(_longer(ground))
    return tuple(role for role in ROLES if possible.get(role, bool(others)))


def _drawn(ground: Ground, role: str, random: Draw) -> Settings:
    """Return drawn settings."""
    if role == PLAIN:
        return {}
    if role == "longer":
        options = _longer(ground)
        value = options[int(random.integers(len(options)))]
        if isinstance(value, float):
            value = _multiplied(value, LONGER, random)
        return ground.incumbent | {HALF_LIFE: value}
    if role in RECENCY:
        bounds = SHORTER if role == "shorter" else SHORTEST
        return ground.incumbent | {HALF_LIFE: _multiplied(ground.half_life or ground.span, bounds, random)}
    space = registry.model_class(ground.model).space
    names = [
        name for name in variable(ground.model, ground.configured) if name in space and name != HALF_LIFE
    ]
    if role == "far":
        return ground.incumbent | {name: _anywhere(space[name], random) for name in names}
    chosen = [name for name in names if random.random() < CHANGED] or [names[random.integers(len(names))]]
    return ground.incumbent | {name: _nearby(space[name], ground.value(name), random) for name in chosen}


def _longer(ground: Ground) -> list[Any]:
    """Return what a longer half-life can be: a multiple of the present one, none, or a learned one."""
    if HALF_LIFE not in variable(ground.model, ground.configured):
        return []
    now, options = ground.value(HALF_LIFE), list[Any]()
    if ground.half_life is not None:
        options += [ground.half_life, None]
    if now != LEARNED:
        options.append(LEARNED)
    return options


def _multiplied(half_life: float, bounds: tuple[float, float], random: Draw) -> float:
    low, high = map(math.log, bounds)
    return _rounded(max(LEAST, half_life * math.exp(random.uniform(low, high))))


def _anywhere(kind: Range | Choice, random: Draw) -> Any:
    """Return a value of a range or a choice, each as likely."""
    if isinstance(kind, Choice):
        return kind.values[int(random.integers(len(kind.values)))]
    return _scaled(kind, random.random())


def _nearby(kind: Range | Choice, value: Any, random: Draw) -> Any:
    """Return a value of a range at a normal distance from the present one; of a choice, any."""
    if isinstance(kind, Choice) or not isinstance(value, int | float):  # none, or learned
        return _anywhere(kind, random)
    low, high, now = (
        math.log(x) if kind.log else float(x) for x in (kind.low, kind.high, max(value, kind.low))
    )
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
