"""How often a night asks its models for lists: those on its holdout are made once for each model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, SECOND, shop

from flows.night.evaluation import measured_night
from flows.night.run import run_night
from models.base import Model
from tasks.demo.logs import write_demo_logs

MODELS = ["item_knn", "popularity", "random"]
CHOOSING: dict[str, Any] = {
    "train__models": MODELS,
    "train__serve": "best",
    "quality__min_users": 2,
    "quality__k": 6,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each model is asked for lists in this process; the models are trained in others."""
    counts: Counter[str] = Counter()
    real = Model.iter_recommend

    def counted(self: Model[Any], *given: Any, **named: Any) -> Any:
        counts[self.name] += 1
        return real(self, *given, **named)

    monkeypatch.setattr(Model, "iter_recommend", counted)
    return counts


def test_choosing_and_judging_ask_no_measured_model_again(tmp_path: Path, asked: Counter[str]) -> None:
    logs = tmp_path / "logs"
    write_demo_logs(logs, start=FIRST, days=2, users=120, items=40, events_per_day=900, seed=5)
    night = shop(tmp_path / "shop", logs)
    first = run_night(night.configured(**CHOOSING), FIRST)
    served = first.station("served_model").facts["model"]
    assert first.station("served_model").facts["figures"].keys() == set(MODELS)
    # each is measured; the served one is asked again as it is published, and for everybody's lists
    assert asked == Counter(MODELS) + Counter({served: 2})
    asked.clear()
    second = run_night(night.configured(**CHOOSING), SECOND)
    chosen = second.station("served_model").facts["model"]
    (against,) = [row for row in second.quality if row["check"].startswith("accuracy")]
    assert against["value"] is not None
    assert asked == Counter(MODELS) + Counter({chosen: 2}) + Counter({served: 1})  # and the champion


def test_an_evaluation_asks_each_model_once(tmp_path: Path, asked: Counter[str]) -> None:
    logs = tmp_path / "logs"
    write_demo_logs(logs, start=FIRST, days=1, users=120, items=40, events_per_day=900, seed=5)
    configuration = shop(tmp_path / "shop", logs).configured(train__models=MODELS, train__serve="popularity")
    done = measured_night(configuration, FIRST)
    assert list(done.measured) == MODELS
    assert asked == Counter(MODELS)
