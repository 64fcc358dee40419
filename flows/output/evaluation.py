"""Print an evaluation: who was left out, metrics with intervals, comparisons, segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flows.output import terminal as out
from tasks.evaluation.names import ERROR_NAMES, METRIC_NAMES
from tasks.runtime.wording import counted

Row = dict[str, Any]
WHOLE = (
    "coverage",
    "gini",
    "novelty",
    "serendipity",
    "diversity",
    "attribute_diversity",
    "mean_popularity",
    "head_share",
)


def print_evaluation(document: Row) -> None:
    """Print all tables of an evaluation, best model first."""
    for counts in document["counts"]:
        facts = [(name.replace("_", " "), f"{value:,}") for name, value in counts.items() if name != "part"]
        out.print_line(
            f"Split {document['split']}{_of(counts['part'])}: what is measured, and what is not", style="bold"
        )
        out.print_facts(facts)
    for part, k in _parts_and_lengths(document["metrics"]):
        rows = [row for row in document["metrics"] if (row["part"], row["k"]) == (part, k)]
        _print_metrics(
            rows, document["seconds"], f"Metrics {_at(k)}{_of(part)}, {counted(rows[0]['users'], 'user')}"
        )
    for part, k in _parts_and_lengths(document["comparisons"]):
        rows = [row for row in document["comparisons"] if (row["part"], row["k"]) == (part, k)]
        _print_comparisons(
            rows, f"{_at(k).capitalize()}{_of(part)}, minus {document['against']}, paired by user"
        )
    for part, k in _parts_and_lengths(document["segments"]):
        _print_segments(
            [row for row in document["segments"] if (row["part"], row["k"]) == (part, k)], part, k
        )
    for warning in document["warnings"]:
        out.note(f"warning: {warning}")


def _parts_and_lengths(rows: Iterable[Row]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((row["part"], row["k"]) for row in rows))


def _at(k: int) -> str:
    """Return words for the length of the lists; errors of ratings have none (k = 0)."""
    return f"at {k}" if k else "of ratings"


def _of(part: str) -> str:
    return f", {part}" if part else ""


def _print_metrics(rows: Sequence[Row], seconds: dict[str, float], title: str) -> None:
    """Print one line per model: the first metric with its interval or deviation, then the rest."""
    by_metric = {(row["model"], row["metric"]): row for row in rows}
    names = [
        name
        for name in (*METRIC_NAMES, *ERROR_NAMES, *WHOLE)
        if any(metric == name for _, metric in by_metric)
    ]
    first, rest = names[0], names[1:]
    models = [name for name in dict.fromkeys(row["model"] for row in rows) if (name, first) in by_metric]
    sign = 1 if first in ERROR_NAMES else -1
    models.sort(key=lambda name: (sign * by_metric[name, first]["value"], name))
    lines = [
        (
            name,
            _figure(by_metric[name, first]["value"]),
            _uncertainty(by_metric[name, first]),
            *(
                _figure(by_metric[name, metric]["value"]) if (name, metric) in by_metric else None
                for metric in rest
            ),
            f"{seconds[name]:.1f}",
        )
        for name in models
    ]
    out.print_table(("model", first, f"{first} 95 %", *rest, "seconds"), lines, title)


def _print_comparisons(rows: Sequence[Row], title: str) -> None:
    lines = [
        (
            row["model"],
            row["metric"],
            f"{row['difference']:+.4f}",
            _uncertainty(row),
            f"{row['p']:.4f}",
            row["users"],
        )
        for row in rows
        if row["metric"] in (*METRIC_NAMES, *ERROR_NAMES)
    ]
    out.print_table(("model", "metric", "difference", "95 %", "p", "users"), lines, title)


def _print_segments(rows: Sequence[Row], part: str, k: int) -> None:
    """Print a table per segment: one line per model and value, with the first metric it has."""
    for segment in dict.fromkeys(row["segment"] for row in rows):
        selected = [row for row in rows if row["segment"] == segment]
        known = (*METRIC_NAMES, *ERROR_NAMES)
        measured = {row["metric"] for row in selected}
        metric = next((name for name in known if name in measured), None)
        lines = [
            (
                row["model"],
                row["value_of"],
                None if row["value"] is None else _figure(row["value"]),
                row["users"],
            )
            for row in selected
            if row["metric"] == metric and row["users"]
        ]
        out.print_table(
            ("model", segment, metric or "", "users"), lines, f"By {segment}, {_at(k)}{_of(part)}"
        )


def _figure(value: float) -> str:
    return f"{value:.4f}"


def _uncertainty(row: Row) -> str:
    """Return the interval of a figure, or the standard deviation of a mean over parts."""
    if row.get("spread") is not None:
        return f"± {row['spread']:.4f}"
    return "" if row["ci_low"] is None else f"[{row['ci_low']:.4f}, {row['ci_high']:.4f}]"
