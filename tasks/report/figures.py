"""The figures of a report: plots with captions and alternative texts, from aggregates of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from tasks.evaluation.names import REFERENCES
from tasks.release.database import parquet
from tasks.release.releases import releases
from tasks.report import plots
from tasks.report.list_churn import Churn
from tasks.report.plots import Line
from tasks.report.summary import metrics_of
from tasks.store.layout import Store
from tasks.store.runs import RunRecord

Row = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
NIGHTS: Final = 60  # past nights shown at most
BY_K: Final = ("ndcg", "recall", "hit_rate")
LABELS: Final = {"ndcg": "NDCG", "map": "MAP", "mrr": "MRR"}


@dataclass(frozen=True)
class Figure:
    """A plot with its name, heading, caption, and alternative text for screen readers."""

    name: str
    title: str
    svg: str
    caption: str
    alt: str


def metric_label(metric: str, k: int = 0) -> str:
    """Return a metric's name for display: NDCG@10, Hit rate@20."""
    text = metric.replace("_", " ")
    name = LABELS.get(metric, text[:1].upper() + text[1:])
    return f"{name}@{k}" if k else name


def line_styles(models: Iterable[str], served: str) -> dict[str, int]:
    """Return the line style of each model: the served one first, reference models last."""
    other_models = sorted({*models} - {served, *REFERENCES})
    strongest_first = REFERENCES[::-1]
    references = [name for name in strongest_first if name in models and name != served]
    styles = {served: 0} | {name: 1 + position % 3 for position, name in enumerate(other_models)}
    return styles | {name: 4 + strongest_first.index(name) for name in references}


def main_metric(rows: Sequence[Row]) -> tuple[str, str, int]:
    """Return split, metric and k of the main metric: NDCG@10, or the nearest to it."""
    best = min(rows, key=lambda row: (row["metric"] != "ndcg", abs(row["k"] - 10), rows.index(row)))
    return best["split"], best["metric"], best["k"]


def metric_figures(rows: Sequence[Row], style: Mapping[str, int]) -> Iterator[Figure]:
    """Yield the plots of a night's metrics: each main metric by k, accuracy against coverage."""
    if not rows:
        return
    split, metric, k = main_metric(rows)
    split_rows = [row for row in rows if row["split"] == split]
    for name in BY_K:
        lines = [line for line in _lines(split_rows, style, name) if line.x]
        if lines:
            yield _by_k_figure(name, lines)
    accuracy = {row["model"]: row for row in split_rows if (row["metric"], row["k"]) == (metric, k)}
    breadth = {
        row["model"]: row["value"] for row in split_rows if (row["metric"], row["k"]) == ("coverage", k)
    }
    points = [
        Line(name, style[name], [breadth[name]], [row["value"]], [row["ci_low"]], [row["ci_high"]])
        for name, row in accuracy.items()
        if name in breadth
    ]
    if points:
        y = metric_label(metric, k)
        svg = plots.plot("breadth", lambda axis: plots.trade_off(axis, points, f"Coverage@{k}", y))
        caption = (
            f"Higher is more accurate; further right covers more of the catalogue. Lists of {k} items, all "
            f"measured users."
        )
        values = "; ".join(f"{point.name} {point.y[0]:.3f} at {point.x[0]:.0%}" for point in points)
        yield Figure("breadth", "Accuracy against coverage", svg, caption, f"{y} at coverage: {values}.")


def _by_k_figure(name: str, lines: list[Line]) -> Figure:
    title = name.replace("_", "")
    svg = plots.plot(title, lambda axis: plots.by_k(axis, lines, metric_label(name)))
    ends = sorted(((line.y[-1], line.name, line.x[-1]) for line in lines), reverse=True)
    values = "; ".join(f"{model} {value:.3f}" for value, model, _ in ends)
    caption = (
        f"Shaded: 95 % intervals. At k = {ends[0][2]:g} the highest is {ends[0][1]} with {ends[0][0]:.3f}."
    )
    return Figure(
        title, f"{metric_label(name)} by k", svg, caption, f"{metric_label(name)} at the largest k: {values}."
    )


def _lines(rows: Sequence[Row], style: Mapping[str, int], metric: str) -> Iterator[Line]:
    for model, line_style in style.items():
        model_rows = sorted(
            (r for r in rows if (r["model"], r["metric"]) == (model, metric)), key=lambda r: r["k"]
        )
        columns = ([row[column] for row in model_rows] for column in ("k", "value", "ci_low", "ci_high"))
        yield Line(model, line_style, *columns)


def past_nights(store: Store, record: RunRecord, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the metrics by date: of each earlier date's last release, then of this run."""
    by_date: dict[str, list[Row]] = {}
    earlier = [
        release for release in releases(store) if release.problem is None and release.as_of < record.as_of
    ]
    for release in sorted(earlier, key=lambda release: (release.as_of, release.sequence))[-NIGHTS:]:
        by_date[str(release.as_of)] = [*metrics_of(release)]
    return by_date | ({str(record.as_of): list(rows)} if rows else {})


def nights_figure(
    by_date: Mapping[str, Sequence[Row]], rows: Sequence[Row], style: Mapping[str, int]
) -> Figure | None:
    """Return the plot of the main metric over the nights; None if there are fewer than two."""
    if not rows or len(by_date) < 2:
        return None
    main = main_metric(rows)
    dates = list(by_date)
    lines = []
    for model, line_style in style.items():
        points = [
            (dates.index(date), row)
            for date, night in by_date.items()
            for row in night
            if (row["split"], row["metric"], row["k"]) == main and row["model"] == model
        ]
        columns = ([row[column] for _, row in points] for column in ("value", "ci_low", "ci_high"))
        if points:
            lines.append(Line(model, line_style, [float(x) for x, _ in points], *columns))
    name = metric_label(*main[1:])
    short = [date[5:] for date in dates]
    svg = plots.plot("nights", lambda axis: plots.nights(axis, lines, short, name))
    values = "; ".join(f"{line.name} from {line.y[0]:.3f} to {line.y[-1]:.3f}" for line in lines)
    caption = f"{dates[0]} to {dates[-1]}. Each night is measured on the last events before its date."
    return Figure("nights", f"{name} over {len(dates)} nights", svg, caption, f"{name}: {values}.")


def popularity_figure(
    con: duckdb.DuckDBPyConnection, items: Path, recommendations: Path | None
) -> Figure | None:
    """Return the plot of events and recommendations by item; None without events."""
    curves: dict[str, Floats] = {"events": _cumulated_shares(con, f"SELECT events FROM {parquet(items)}")}
    if recommendations is not None:
        listings = f"SELECT item_id, count(*) AS listings FROM {parquet(recommendations)} GROUP BY item_id"
        sql = f"SELECT coalesce(listings, 0) FROM {parquet(items)} LEFT JOIN ({listings}) USING (item_id)"
        curves["recommendations"] = _cumulated_shares(con, sql)
    curves = {name: curve for name, curve in curves.items() if len(curve)}
    if "events" not in curves:
        return None
    svg = plots.plot("popularity", lambda axis: plots.concentration(axis, curves))
    tenth = max(1, round(len(curves["events"]) / 10))
    shares = ", and ".join(f"{curve[tenth - 1]:.0%} of the {name}" for name, curve in curves.items())
    caption = f"A tenth of the catalogue ({tenth:,} items) receives {shares}."
    head = "Popularity in the catalogue" + (" and in the lists" if len(curves) > 1 else "")
    alt = f"Cumulated share against the number of items, the most frequent first. {caption}"
    return Figure("popularity", head, svg, caption, alt)


def churn_figure(churn: Churn | None, before: str) -> Figure | None:
    """Return the plot of how many listed items users keep; None if no lists were compared."""
    if churn is None:
        return None
    shares = [users / churn.users for users in churn.kept]
    svg = plots.plot("churn", lambda axis: plots.kept_items(axis, shares))
    sample = "" if churn.share == 1 else f" (a sample: one in {1 / churn.share:.0f})"
    caption = (
        f"{churn.changed:.0%} of {churn.users:,} users{sample} have another top {churn.depth} than in "
        f"{before}. On average {churn.overlap:.0%} of it stays; {churn.same / churn.users:.0%} of users "
        f"keep every item at its rank."
    )
    kept = "; ".join(f"{n} kept: {share:.1%}" for n, share in enumerate(shares))
    return Figure("churn", "Changes in the lists", svg, caption, f"Share of users by items kept. {kept}.")


def _cumulated_shares(con: duckdb.DuckDBPyConnection, sql: str) -> Floats:
    """Return the cumulated shares of counts, largest first; float64 (items,), empty if all 0."""
    counts = con.sql(sql).fetchnumpy()
    values = np.asarray(next(iter(counts.values())), dtype=np.float64)
    ordered = np.sort(values)[::-1].cumsum()
    return ordered / ordered[-1] if len(ordered) and ordered[-1] else np.empty(0)
