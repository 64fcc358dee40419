"""An evaluation as tables: metrics with intervals, paired comparisons, segments, and what was left out."""

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


def document_of(
    done: Evaluation, *, against: str | None = None, segments: Collection[str] = (), threads: int = 0
) -> Row:
    """Return all tables of an evaluation as plain values.

    `metrics`: model, part, metric, k, value, ci_low, ci_high, users, and where there are several parts also
    their mean with the deviation as `spread`; `comparisons`: every other model less `against`, paired by
    user; `segments`: the same metrics of some users or items; `counts` of each part; `seconds` of each model.

    Raises
    ------
    UserError
        If the model to compare with was not measured, or a segment is not known.
    """
    from models.evaluation.bootstrap import Bootstrap

    if not done.measured:
        raise UserError("; ".join(["no model was measured", *done.warnings]))
    if against is not None and against not in done.measured:
        raise UserError(f"--against {against}: expected one of {', '.join(done.measured)}, got {against!r}")
    boot = Bootstrap(threads=threads)
    first = next(iter(done.measured.values()))
    return {
        "split": done.split,
        "models": list(done.measured),
        "warnings": done.warnings,
        "counts": [{"part": part, **one.counts} for part, one in zip(done.parts, first, strict=True)],
        "seconds": {name: round(sum(one.seconds for one in runs), 2) for name, runs in done.measured.items()},
        "metrics": list(_metrics(done, boot)),
        "against": against,
        "comparisons": list(_comparisons(done, against, boot)) if against else [],
        "segments": list(Segments(done, segments).rows()) if segments else [],
    }


def _metrics(done: Evaluation, boot: Bootstrap) -> Iterator[Row]:
    for model, runs in done.measured.items():
        values: dict[tuple[str, int], list[float]] = {}
        for part, one in zip(done.parts, runs, strict=True):
            for row in one.table(boot):
                values.setdefault((row.metric, row.k), []).append(row.value)
                yield {
                    "model": model,
                    "split": done.split,
                    "part": part,
                    "metric": row.metric,
                    "k": row.k,
                    "value": row.value,
                    "ci_low": row.low,
                    "ci_high": row.high,
                    "users": row.users,
                }
        if len(runs) > 1:
            common = {"model": model, "split": done.split, "part": "mean"}
            users = sum(len(one.users) for one in runs)
            for (metric, k), column in values.items():
                spread = statistics.stdev(column) if len(column) > 1 else None
                figures = {"value": statistics.mean(column), "ci_low": None, "ci_high": None}
                yield {**common, "metric": metric, "k": k, **figures, "users": users, "spread": spread}


def _comparisons(done: Evaluation, against: str, boot: Bootstrap) -> Iterator[Row]:
    for model, runs in done.measured.items():
        if model == against:
            continue
        for part, one, other in zip(done.parts, runs, done.measured[against], strict=True):
            for (metric, k), found in boot.compare(one.values, other.values).items():
                yield {
                    "model": model,
                    "against": against,
                    "part": part,
                    "metric": metric,
                    "k": k,
                    "difference": found.difference,
                    "ci_low": found.low,
                    "ci_high": found.high,
                    "p": found.p,
                    "users": found.users,
                }
