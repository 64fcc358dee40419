"""The main metrics, which `status`, the end of a run and its report show first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Row = Mapping[str, Any]
MAIN_METRICS: Final = {"ndcg": 10, "recall": 20, "hit_rate": 10, "coverage": 10}
"""Each main metric with its preferred k; the nearest measured k is shown."""
MAX_FALLBACK: Final = 4  # metrics to show if none of these was measured


def main_metrics(rows: Iterable[Row], cell: Callable[[Row], Any]) -> list[dict[str, Any]]:
    """Return a row of main metrics for each model, sorted by the first metric, best first.

    `rows` have model, metric, k and value. A returned row has the key `model` and keys such as
    `ndcg@10`, with the result of `cell` for the row of that metric, or None if the model has none.
    """
    measured: dict[str, dict[tuple[str, int], Row]] = {}
    for row in rows:
        measured.setdefault(row["model"], {})[row["metric"], int(row["k"])] = row
    chosen = _choose({column for columns in measured.values() for column in columns})

    def sort_key(model: str) -> tuple[float, str]:
        first = measured[model].get(chosen[0])
        return -float(first["value"]) if first else float("inf"), model

    def cells(model: str) -> dict[str, Any]:
        by_name = {f"{metric}@{k}": measured[model].get((metric, k)) for metric, k in chosen}
        return {name: None if row is None else cell(row) for name, row in by_name.items()}

    return [{"model": model, **cells(model)} for model in sorted(measured, key=sort_key)]


def _choose(columns: set[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the metrics and ks to show, chosen from those that were measured."""
    chosen = []
    for metric, preferred in MAIN_METRICS.items():
        ks = [k for name, k in columns if name == metric]
        if ks:
            chosen.append((metric, min(ks, key=lambda k: (abs(k - preferred), k))))
    return chosen or sorted(columns)[:MAX_FALLBACK]
