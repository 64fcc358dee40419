"""The tables of metrics on the page about a run: a column per metric, a row per model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.evaluation.names import METRIC_NAMES, REFERENCES

Row = dict[str, Any]


def metric_tables(metrics: Sequence[Row], served: str) -> list[Row]:
    """Return a table for each split and k, with a column per metric and a row per model.

    Reference models are last. A cell is the metric's row. `best` marks the highest value, for
    metrics that are to be high; `beyond` marks a previous value outside tonight's interval.
    """
    tables = []
    for split, k in dict.fromkeys((row["split"], row["k"]) for row in metrics):
        rows = [row for row in metrics if (row["split"], row["k"]) == (split, k)]
        names = sorted({row["metric"] for row in rows}, key=_column_order)
        models = sorted({row["model"] for row in rows}, key=lambda model: _row_order(model, rows, served))
        cells = {
            (row["model"], row["metric"]): row | {"best": False} | _outside_interval(row) for row in rows
        }
        for name in names:
            column = [cells[model, name] for model in models if (model, name) in cells]
            highest = max(cell["value"] for cell in column)
            for cell in column if name in METRIC_NAMES and len(column) > 1 else ():
                cell["best"] = cell["value"] == highest
        listed = [(model, [cells.get((model, name)) for name in names]) for model in models]
        users = max(row["users"] for row in rows)
        tables.append({"split": split, "k": k, "metrics": names, "users": users, "models": listed})
    return tables


def _column_order(metric: str) -> tuple[int, str]:
    """Return the sort key of a metric's column: known metrics first, then coverage."""
    known = (*METRIC_NAMES, "coverage")
    return known.index(metric) if metric in known else len(known), metric


def _row_order(model: str, rows: Sequence[Row], served: str) -> tuple[bool, bool, float, str]:
    """Return the sort key of a model's row: served first, references last, better before worse."""
    first = min((row["metric"] for row in rows), key=_column_order)
    value = max(
        (row["value"] for row in rows if (row["model"], row["metric"]) == (model, first)), default=0.0
    )
    return model != served, model != served and model in REFERENCES, -value, model


def _outside_interval(row: Row) -> Row:
    """Return whether the previous value lies outside tonight's interval."""
    if row["before"] is None or row["ci_low"] is None:
        return {"beyond": False}
    return {"beyond": not row["ci_low"] <= row["before"] <= row["ci_high"]}
