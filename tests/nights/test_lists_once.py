"""How often a night computes its models' lists: those on the holdout once per model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from worlds.night_world import FIRST, SECOND, shop

from flows.night.evaluation import evaluate_night
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
def list_counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each model computes lists in this process; training runs elsewhere."""
    counts: Counter[str] = Counter()
    real = Model.iter_recommend

    def counted(self: Model[Any], *arguments: Any, **options: Any) -> Any:
        counts[self.name] += 1
        return real(self, *arguments, **options)

    monkeypatch.setattr(Model, "iter_recommend", counted)
    return counts


def test_the_choice_and_the_gate_reuse_the_lists_of_measured_models(
    tmp_path: Path, list_counts: Counter[str]
) -> None:
    logs = tmp_path / "logs"
    write_demo_logs(logs, start=FIRST, days=2, users=120, items=40, events_per_day=900, seed=5)
    night = shop(tmp_path / "shop", logs)
    first = run_night(night.configured(**CHOOSING), FIRST)
    served = first.station("served_model").facts["model"]
    assert first.station("served_model").facts["figures"].keys() == set(MODELS)
    # each is measured; the served model also lists for the release
    assert list_counts == Counter(MODELS) + Counter({served: 2})
    list_counts.clear()
    second = run_night(night.configured(**CHOOSING), SECOND)
    chosen = second.station("served_model").facts["model"]
    (against,) = [row for row in second.quality if row["check"].startswith("accuracy")]
    assert against["value"] is not None
    assert list_counts == Counter(MODELS) + Counter({chosen: 2}) + Counter({served: 1})  # and the champion


def test_an_evaluation_lists_once_for_each_model(tmp_path: Path, list_counts: Counter[str]) -> None:
    logs = tmp_path / "logs"
    write_demo_logs(logs, start=FIRST, days=1, users=120, items=40, events_per_day=900, seed=5)
    configuration = shop(tmp_path / "shop", logs).configured(train__models=MODELS, train__serve="popularity")
    evaluation = evaluate_night(configuration, FIRST)
    assert list(evaluation.measured) == MODELS
    assert list_counts == Counter(MODELS)
