"""Challengers: near or far within the space, another half-life, and never what is configured."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from models import registry
from models.search_space import Choice
from tasks.incumbents.document import Challenger
from tasks.incumbents.draws import Ground, draw, variable

TUNABLE = [name for name in registry.built_in() if registry.model_class(name).space]


def ground(model: str, configured: dict[str, Any] | None = None, **facts: Any) -> Ground:
    given = {"incumbent": {}, "half_life": None, "span": 30.0, "seed": 7, "as_of": date(2026, 3, 2)}
    return Ground(model, configured or {}, **given | facts)


def drawn(where: Ground, count: int) -> list[Challenger]:
    """Return challengers of the numbers 1 to `count`, each alone."""
    found = [draw(where, number, [], []) for number in range(1, count + 1)]
    assert all(found)
    return [challenger for challenger in found if challenger]


@pytest.mark.parametrize("model", TUNABLE)
def test_draws_are_valid_settings_within_the_space(model: str) -> None:
    space = registry.model_class(model).space
    for challenger in drawn(ground(model), 30):
        registry.config(model, challenger.settings)
        assert set(challenger.settings) <= set(variable(model, {}))
        for name, value in challenger.settings.items():
            if name in space and name != "half_life_days":
                kind = space[name]
                assert value in kind.values if isinstance(kind, Choice) else kind.low <= value <= kind.high


def test_equal_arguments_give_equal_draws_and_other_dates_others() -> None:
    where = ground("als")
    assert drawn(where, 12) == drawn(where, 12)
    assert drawn(where, 12) != drawn(replace(where, as_of=date(2026, 3, 3)), 12)


def test_configured_settings_and_epochs_are_never_drawn() -> None:
    configured = {"factors": 64, "half_life_days": None}
    assert variable("als", configured) == ("iterations", "shrinkage", "unobserved_ratio")
    names = {name for one in drawn(ground("als", configured), 20) for name in one.settings}
    assert names == {"iterations", "shrinkage", "unobserved_ratio"}
    assert "epochs" not in variable("mult_vae", {})


def test_a_shorter_and_a_longer_half_life_are_always_among_a_few_challengers() -> None:
    where, on_trial = ground("item_knn", half_life=8.0), list[Challenger]()
    for number in range(1, 6):
        challenger = draw(where, number, [one.role for one in on_trial], [one.settings for one in on_trial])
        assert challenger is not None
        on_trial.append(challenger)
    by_role = {challenger.role: challenger.settings for challenger in on_trial}
    assert set(by_role) == {"shortest", "shorter", "longer", "near", "far"}
    assert by_role["shortest"]["half_life_days"] < by_role["shorter"]["half_life_days"] < 8
    longer = by_role["longer"]["half_life_days"]
    assert longer is None or longer > 8


def test_without_a_half_life_there_is_none_longer() -> None:
    roles = {challenger.role for challenger in drawn(ground("item_knn"), 20)}
    assert roles == {"shortest", "shorter", "near", "far"}


def test_what_won_has_the_configured_settings_as_a_challenger() -> None:
    found = drawn(ground("item_knn", incumbent={"shrink": 5.0}), 6)
    assert {} in [challenger.settings for challenger in found if challenger.role == "plain"]


def test_nothing_is_drawn_twice() -> None:
    where, taken = ground("recent_popularity"), list[dict[str, Any]]()
    for number in range(1, 30):
        challenger = draw(where, number, [], taken)
        if challenger is not None:
            assert challenger.settings not in taken
            taken.append(challenger.settings)
    assert len(taken) > 10
