"""Which models fit the minutes and the memory of a night."""

from __future__ import annotations

from typing import Any

import pytest

from models import registry
from models.options import Size
from tasks.configuration.configuration import Configuration
from tasks.training.plan import make_plan

LARGE = {"users": 100_000, "items": 16_000, "pairs": 1_000_000}


def configured(**sections: Any) -> Configuration:
    columns = {"user": "u", "item": "i", "timestamp": "t"}
    return Configuration.model_validate({"source": {"path": "x.csv", "columns": columns}, **sections})


def epochs_within(minutes: float) -> int:
    """Return the epochs of Mult-VAE for which minutes, less those of all other models, are enough."""
    seconds = make_plan(configured(), **LARGE).seconds
    others = sum(2 * value for name, value in seconds.items() if name != "mult_vae")
    config = registry.config("mult_vae", {})
    whole = 2 * registry.model_class("mult_vae").cost(config, Size(*LARGE.values())).seconds
    return int(config.epochs * (60 * minutes - others) / whole)


def test_a_small_log_trains_every_model_as_configured() -> None:
    plan = make_plan(configured(), users=6_040, items=3_706, pairs=1_000_209)
    assert (plan.settings, plan.left_out) == ({}, {})
    assert set(plan.seconds) == set(configured().train.models) >= {"als", "ease", "mult_vae", "blend"}


def test_a_model_gets_the_epochs_that_are_left_time_for() -> None:
    plan = make_plan(configured(train={"minutes": 40}), **LARGE)
    expected = epochs_within(40)
    assert 10 <= expected < registry.config("mult_vae", {}).epochs
    assert plan.settings == {"mult_vae": {"epochs": expected}}
    assert plan.left_out == {}
    assert 2 * sum(plan.seconds.values()) <= 2400


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"minutes": 15}},
        {"train": {"minutes": 60}, "models": {"mult_vae": {"epochs": 40}}},  # named, so not changed
    ],
)
def test_what_does_not_fit_is_left_out_with_what_it_would_take(sections: dict[str, Any]) -> None:
    plan = make_plan(configured(**sections), **LARGE)
    (reason,) = plan.left_out.values()
    assert "mult_vae" not in plan.seconds
    assert reason.startswith("it would take about ")
    assert reason.endswith(f"left of the {sections['train']['minutes']} of [train] minutes")


def test_memory_is_a_budget_too() -> None:
    plan = make_plan(configured(engine={"memory": "256MiB"}), users=10_000, items=50_000, pairs=100_000)
    assert plan.left_out["mult_vae"] == "it would need about 1.0 GiB, more than [engine] memory"
    assert "popularity" in plan.seconds


def test_the_model_that_is_named_to_serve_stays() -> None:
    plan = make_plan(configured(train={"minutes": 1, "serve": "mult_vae"}), **LARGE)
    assert "mult_vae" in plan.seconds
    assert "mult_vae" not in plan.left_out | plan.settings


def test_more_data_cost_more() -> None:
    for name in configured().train.models:
        config = registry.config(name, {})
        small, large = (
            registry.model_class(name).cost(config, Size(1_000 * n, 500 * n, 20_000 * n)) for n in (1, 10)
        )
        assert small.seconds < large.seconds
        assert small.memory < large.memory


HUGE = {"users": 300_000, "items": 60_000, "pairs": 3_000_000}


def test_a_model_that_is_not_made_for_the_size_is_left_out_and_its_blend_does_without() -> None:
    plan = make_plan(configured(models={"ease": {"penalty": 3.0}, "als": {"factors": 32}}), **HUGE)
    assert plan.left_out["ease"] == "60,000 items and 300,000 users are more than models.ease.largest, 16,384"
    assert plan.settings["blend"] == {
        "candidates": ("als", "item_knn", "pure_svd", "recent_popularity"),
        "settings": {"als": {"factors": 32}},
    }
    alone = configured(models={"blend": {"candidates": ["als", "item_knn", "pure_svd", "recent_popularity"]}})
    seconds = make_plan(alone, **HUGE).seconds
    assert plan.seconds["blend"] == pytest.approx(seconds["blend"], rel=0.5)  # of fewer factors


@pytest.mark.parametrize(("memory", "fits"), [("950MiB", False), ("1.5GiB", True)])
def test_a_part_that_would_be_in_memory_twice_leaves_its_blend(memory: str, fits: bool) -> None:
    plan = make_plan(configured(engine={"memory": memory}), users=50_000, items=16_000, pairs=500_000)
    assert ("ease" in plan.seconds) == fits
    assert fits or plan.left_out["ease"] == "it would need about 1.0 GiB, more than [engine] memory"
    assert plan.settings["blend"]["candidates"] == ("als", "item_knn", "pure_svd", "recent_popularity")


def test_candidates_that_the_configuration_names_stay() -> None:
    named = configured(models={"blend": {"candidates": ["als", "ease"]}})
    plan = make_plan(named, **HUGE)
    assert "blend" not in plan.settings
    assert plan.left_out["blend"] == plan.left_out["ease"]
