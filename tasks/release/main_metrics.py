"""The metrics that `status`, the end of a run and the page about it show first: a few, a row a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Row = Mapping[str, Any]
WANTED: Final = {"ndcg": 10, "recall": 20, "hit_rate": 10, "coverage": 10}
"""The main metrics, each with the k at which it is shown, or at the next that was measured."""
MOST: Final = 4  # metrics that are shown where none of these was measured


def main_metrics(rows: Iterable[Row], cell: Callable[[Row], Any]) -> list[dict[str, Any]]:
    """Return a row of the main metrics a model, the best by the first of them at the top.

    `rows` have model, metric, k and value. A returned row has the key `model`, and keys such as `ndcg@10`
    with what `cell` makes of the row of that metric, or None where the model has none.
    """
    measured: dict[str, dict[tuple[str, int], Row]] = {}
    for row in rows:
        measured.setdefault(row["model"], {})[row["metric"], int(row["k"])] = row
    shown = _shown({column for columns in measured.values() for column in columns})

    def standing(model: str) -> tuple[float, str]:
        first = measured[model].get(shown[0])
        return -float(first["value"]) if first else float("inf"), model

    def cells(model: str) -> dict[str, Any]:
        mine = {f"{metric}@{k}": measured[model].get((metric, k)) for metric, k in shown}
        return {name: None if row is None else cell(row) for name, row in mine.items()}

    return [{"model": model, **cells(model)} for model in sorted(measured, key=standing)]


def _shown(columns: set[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return metric and k of what is shown, of what was measured."""
    shown = []
    for metric, wanted in WANTED.items():
        ks = [k for name, k in columns if name == metric]
        if ks:
            shown.append((metric, min(ks, key=lambda k: (abs(k - wanted), k))))
    return shown or sorted(columns)[:MOST]
