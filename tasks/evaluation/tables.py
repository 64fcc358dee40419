"""An evaluation as tables: metrics with intervals, paired comparisons, segments and counts."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from tasks.evaluation.evaluation import Evaluation
from tasks.evaluation.segments import Segments
from tasks.runtime.errors import UserError

if TYPE_CHECKING:
    from models.evaluation.bootstrap import Bootstrap

Row = dict[str, Any]


def evaluation_document(
    evaluation: Evaluation, threads: int, *, against: str | None = None, segments: Collection[str] = ()
) -> Row:
    """Return all tables of an evaluation as plain values.

    `metrics`: model, part, metric, k, value, ci_low, ci_high, users; with several parts also their
    mean, with the standard deviation as `spread`. `comparisons`: each model minus `against`, paired
    by user. `segments`: the same metrics for some users or items. `counts` by part; `seconds` by
    model.

    Raises
    ------
    UserError
        If the model to compare with was not measured, or a segment is unknown.
    """
    from models.evaluation.bootstrap import Bootstrap

    if not evaluation.measured:
        raise UserError("; ".join(["no model was measured", *evaluation.warnings]))
    if against is not None and against not in evaluation.measured:
        raise UserError(
            f"--against {against}: expected one of {', '.join(evaluation.measured)}, got {against!r}"
        )
    bootstrap = Bootstrap(threads=threads)
    first = next(iter(evaluation.measured.values()))
    return {
        "split": evaluation.split,
        "models": list(evaluation.measured),
        "warnings": evaluation.warnings,
        "counts": [
            {"part": part, **measured.counts} for part, measured in zip(evaluation.parts, first, strict=True)
        ],
        "seconds": {
            name: round(sum(measured.seconds for measured in runs), 2)
            for name, runs in evaluation.measured.items()
        },
        "metrics": list(_metrics(evaluation, bootstrap)),
        "against": against,
        "comparisons": list(_comparisons(evaluation, against, bootstrap)) if against else [],
        "segments": list(Segments(evaluation, segments, threads).rows()) if segments else [],
    }


def _metrics(evaluation: Evaluation, bootstrap: Bootstrap) -> Iterator[Row]:
    for model, runs in evaluation.measured.items():
        values: dict[tuple[str, int], list[float]] = {}
        for part, measured in zip(evaluation.parts, runs, strict=True):
            for row in measured.table(bootstrap):
                values.setdefault((row.metric, row.k), []).append(row.value)
                yield {
                    "model": model,
                    "split": evaluation.split,
                    "part": part,
                    "metric": row.metric,
                    "k": row.k,
                    "value": row.value,
                    "ci_low": row.low,
                    "ci_high": row.high,
                    "users": row.users,
                }
        if len(runs) > 1:
            common = {"model": model, "split": evaluation.split, "part": "mean"}
            users = sum(len(measured.users) for measured in runs)
            for (metric, k), column in values.items():
                spread = statistics.stdev(column) if len(column) > 1 else None
                figures = {"value": statistics.mean(column), "ci_low": None, "ci_high": None}
                yield {**common, "metric": metric, "k": k, **figures, "users": users, "spread": spread}


def _comparisons(evaluation: Evaluation, against: str, bootstrap: Bootstrap) -> Iterator[Row]:
    for model, runs in evaluation.measured.items():
        if model == against:
            continue
        for part, measured, reference in zip(
            evaluation.parts, runs, evaluation.measured[against], strict=True
        ):
            for (metric, k), compared in bootstrap.compare(measured.values, reference.values).items():
                yield {
                    "model": model,
                    "against": against,
                    "part": part,
                    "metric": metric,
                    "k": k,
                    "difference": compared.difference,
                    "ci_low": compared.low,
                    "ci_high": compared.high,
                    "p": compared.p,
                    "users": compared.users,
                }
