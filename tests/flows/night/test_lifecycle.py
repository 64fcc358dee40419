"""How a night begins and ends: its training child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest
from worlds.night_world import FIRST, Night
from worlds.training_world import trainings

from flows.night import lifecycle
from flows.night.run import run_night
from tasks.training.train import one_child


def test_the_models_of_a_night_share_a_training_child_that_ends_with_the_night(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "one_child", one_child)  # not the child that this file's nights share
    others, seen = trainings(), dict[str, list[psutil.Process]]()

    def step(name: str, work: Callable[[], Any]) -> Any:
        result = work()
        seen[name] = [child for child in trainings() if child not in others]
        return result

    assert run_night(night.configured(), FIRST, step=step).state == "published"
    assert seen["dataset"] == []
    assert len(seen["measure popularity"]) == 1
    assert seen["measure popularity"] == seen["train popularity"] == seen["release"]
    assert trainings() == others
