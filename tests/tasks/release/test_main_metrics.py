"""The metrics that are shown first: sorted by number, the best model at the top."""

from __future__ import annotations

from typing import Any

from tasks.release.main_metrics import main_metrics


def metric(model: str, name: str, k: int, value: float) -> dict[str, Any]:
    return {"model": model, "metric": name, "k": k, "value": value}


def value(row: Any) -> float:
    return float(row["value"])


def test_the_best_model_is_at_the_top_by_number_and_not_by_text() -> None:
    rows = [metric("a", "rmse", 0, 9.5), metric("b", "rmse", 0, 10.25), metric("c", "rmse", 0, -3.0)]
    assert [row["model"] for row in main_metrics(rows, value)] == ["b", "a", "c"]
    small = [metric("a", "ndcg", 10, 2e-05), metric("b", "ndcg", 10, 0.1), metric("c", "ndcg", 10, 0.1)]
    assert [row["model"] for row in main_metrics(small, value)] == ["b", "c", "a"]


def test_each_main_metric_is_shown_at_its_k_or_at_the_next_to_it() -> None:
    ks = (5, 10, 20, 100)
    rows = [metric("a", name, k, k / 1000) for name in ("recall", "ndcg", "map", "coverage") for k in ks]
    assert main_metrics(rows, value) == [
        {"model": "a", "ndcg@10": 0.01, "recall@20": 0.02, "coverage@10": 0.01}
    ]
    far = [row for row in rows if row["k"] in {5, 100}]
    assert list(main_metrics(far, value)[0]) == ["model", "ndcg@5", "recall@5", "coverage@5"]


def test_other_metrics_are_shown_with_k_by_number() -> None:
    rows = [metric("a", "precision", k, 0.1) for k in (100, 5, 20, 10, 50)]
    assert list(main_metrics(rows, value)[0]) == [
        "model",
        "precision@5",
        "precision@10",
        "precision@20",
        "precision@50",
    ]


def test_a_model_without_the_first_metric_comes_last() -> None:
    rows = [metric("a", "recall", 20, 0.9), metric("b", "ndcg", 10, 0.1), metric("b", "recall", 20, 0.2)]
    assert main_metrics(rows, value) == [
        {"model": "b", "ndcg@10": 0.1, "recall@20": 0.2},
        {"model": "a", "ndcg@10": None, "recall@20": 0.9},
    ]
    assert main_metrics([], value) == []
