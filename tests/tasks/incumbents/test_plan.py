"""Which model is contested tonight, and what its contest may cost."""

from __future__ import annotations

from typing import Any

import pytest

from models import registry
from models.options import Size
from tasks.configuration.configuration import Configuration
from tasks.incumbents.plan import Budget, contestable, slots

SIZE = {"users": 1_000, "items": 500, "pairs": 20_000}


def configured(**sections: Any) -> Configuration:
    columns = {"user": "u", "item": "i", "timestamp": "t"}
    return Configuration.model_validate({"source": {"path": "x.csv", "columns": columns}, **sections})


def test_the_settings_of_whatever_may_serve_are_contested() -> None:
    assert contestable(configured()) == (
        "als",
        "ease",
        "mult_vae",
        "item_knn",
        "pure_svd",
        "recent_popularity",
    )
    served = {"train": {"models": ["blend", "als", "popularity"], "serve": "blend"}}
    assert contestable(configured(**served)) == ("als", "ease", "item_knn", "pure_svd", "recent_popularity")


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"challengers": 0}},
        {"evaluation": {"enabled": False}},
        {"train": {"models": ["popularity", "als"], "serve": "popularity"}},
        {
            "train": {"models": ["recent_popularity"], "serve": "recent_popularity"},
            "models": {"recent_popularity": {"half_life_days": 3.0}},
        },
    ],
)
def test_a_fixed_configuration_tries_nothing(sections: dict[str, Any]) -> None:
    assert contestable(configured(**sections)) == ()


def test_a_part_with_settings_in_the_blend_itself_is_fixed() -> None:
    blend = {"settings": {"als": {"factors": 8}}}
    served = {"train": {"models": ["blend"], "serve": "blend"}, "models": {"blend": blend}}
    assert contestable(configured(**served)) == ("ease", "item_knn", "pure_svd", "recent_popularity")


@pytest.mark.parametrize(("challengers", "expected"), [("auto", 4), (0, 0), (7, 7)])
def test_the_number_of_challengers_is_configured(challengers: Any, expected: int) -> None:
    assert slots(configured(train={"challengers": challengers})) == expected


def test_a_budget_pays_for_trainings_until_it_is_used_up() -> None:
    one = registry.model_class("als").cost(registry.config("als", {}), Size(**SIZE)).seconds
    budget = Budget("als", {}, {}, SIZE, left=2.5 * one, memory=2**40)
    assert [budget.take({}) for _ in range(3)] == [True, True, False]


def test_what_a_night_could_not_train_in_the_incumbents_place_is_not_tried() -> None:
    def cost(settings: dict[str, Any]) -> float:
        return registry.model_class("als").cost(registry.config("als", settings), Size(**SIZE)).seconds

    large = {"factors": 512}
    left = cost(large) + 1.5 * (cost(large) - cost({}))
    assert not Budget("als", {}, {}, SIZE, left, memory=2**40).take(large)
    assert Budget("als", {}, large, SIZE, left, memory=2**40).take(large)
    assert not Budget("als", {}, large, SIZE, left, memory=1).take(large)
