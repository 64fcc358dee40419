"""What the plots of a report show, and what each says in words: figures from tables, never whole tables."""

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
NIGHTS: Final = 60  # past nights that are shown, at most
BY_K: Final = ("ndcg", "recall", "hit_rate")
LABELS: Final = {"ndcg": "NDCG", "map": "MAP", "mrr": "MRR", "rmse": "RMSE", "mae": "MAE"}


@dataclass(frozen=True)
class Figure:
    """A plot with its name, heading and words: `caption` stands below it, `alt` tells it without the eye."""

    name: str
    title: str
    svg: str
    caption: str
    alt: str


def label(metric: str, k: int = 0) -> str:
    """Return a metric's name as it is written: NDCG@10, Hit rate@20."""
    words = metric.replace("_", " ")
    name = LABELS.get(metric, words[:1].upper() + words[1:])
    return f"{name}@{k}" if k else name


def styles(models: Iterable[str], served: str) -> dict[str, int]:
    """Return a style of line for each model: the served first, references last, always the same."""
    others = sorted({*models} - {served, *REFERENCES})
    strongest_first = REFERENCES[::-1]
    references = [name for name in strongest_first if name in models and name != served]
    found = {served: 0} | {name: 1 + at % 3 for at, name in enumerate(others)}
    return found | {name: 4 + strongest_first.index(name) for name in references}


def main_metric(rows: Sequence[Row]) -> tuple[str, str, int]:
    """Return split, metric and k that the report speaks of first: NDCG@10, or what comes nearest."""
    best = min(rows, key=lambda row: (row["metric"] != "ndcg", abs(row["k"] - 10), rows.index(row)))
    return best["split"], best["metric"], best["k"]


def metric_figures(rows: Sequence[Row], style: Mapping[str, int]) -> Iterator[Figure]:
    """Give the plots of one night's metrics: each main metric by k, and coverage against accuracy."""
    if not rows:
        return
    split, metric, k = main_metric(rows)
    mine = [row for row in rows if row["split"] == split]
    for name in BY_K:
        drawn = [line for line in _lines(mine, style, name) if line.x]
        if drawn:
            yield _by_k(name, drawn)
    accuracy = {row["model"]: row for row in mine if (row["metric"], row["k"]) == (metric, k)}
    breadth = {row["model"]: row["value"] for row in mine if (row["metric"], row["k"]) == ("coverage", k)}
    points = [
        Line(name, style[name], [breadth[name]], [row["value"]], [row["ci_low"]], [row["ci_high"]])
        for name, row in accuracy.items()
        if name in breadth
    ]
    if points:
        y = label(metric, k)
        svg = plots.plot("breadth", lambda axis: plots.trade_off(axis, points, f"Coverage@{k}", y))
        caption = (
            f"Up is more accurate, right is more of the catalogue: the lists of {k} of all measured users."
        )
        said = "; ".join(f"{one.name} {one.y[0]:.3f} at {one.x[0]:.0%}" for one in points)
        yield Figure("breadth", "Accuracy against coverage", svg, caption, f"{y} at coverage: {said}.")


def _by_k(name: str, drawn: list[Line]) -> Figure:
    title = name.replace("_", "")
    svg = plots.plot(title, lambda axis: plots.by_k(axis, drawn, label(name)))
    last = sorted(((line.y[-1], line.name, line.x[-1]) for line in drawn), reverse=True)
    said = "; ".join(f"{model} {value:.3f}" for value, model, _ in last)
    caption = (
        f"Shaded: 95 % intervals. At k = {last[0][2]:g} the highest is {last[0][1]} with {last[0][0]:.3f}."
    )
    return Figure(title, f"{label(name)} by k", svg, caption, f"{label(name)} at the largest k: {said}.")


def _lines(rows: Sequence[Row], style: Mapping[str, int], metric: str) -> Iterator[Line]:
    for model, place in style.items():
        found = sorted(
            (r for r in rows if (r["model"], r["metric"]) == (model, metric)), key=lambda r: r["k"]
        )
        columns = ([row[column] for row in found] for column in ("k", "value", "ci_low", "ci_high"))
        yield Line(model, place, *columns)


def past_nights(store: Store, record: RunRecord, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the metrics by date: of the release published last for each earlier date, then of this run."""
    found: dict[str, list[Row]] = {}
    earlier = [one for one in releases(store) if one.problem is None and one.as_of < record.as_of]
    for release in sorted(earlier, key=lambda one: (one.as_of, one.sequence))[-NIGHTS:]:
        found[str(release.as_of)] = [*metrics_of(release)]
    return found | ({str(record.as_of): list(rows)} if rows else {})


def nights_figure(
    by_date: Mapping[str, Sequence[Row]], rows: Sequence[Row], style: Mapping[str, int]
) -> Figure | None:
    """Give the plot of the main metric over the nights; None for less than two of them."""
    if not rows or len(by_date) < 2:
        return None
    wanted = main_metric(rows)
    dates = list(by_date)
    drawn = []
    for model, place in style.items():
        at = [
            (dates.index(date), row)
            for date, night in by_date.items()
            for row in night
            if (row["split"], row["metric"], row["k"]) == wanted and row["model"] == model
        ]
        columns = ([row[column] for _, row in at] for column in ("value", "ci_low", "ci_high"))
        if at:
            drawn.append(Line(model, place, [float(x) for x, _ in at], *columns))
    name = label(*wanted[1:])
    short = [date[5:] for date in dates]
    svg = plots.plot("nights", lambda axis: plots.nights(axis, drawn, short, name))
    said = "; ".join(f"{one.name} from {one.y[0]:.3f} to {one.y[-1]:.3f}" for one in drawn)
    caption = f"{dates[0]} to {dates[-1]}. Each night is measured on the last events before its own date."
    return Figure("nights", f"{name} over {len(dates)} nights", svg, caption, f"{name}: {said}.")


def popularity_figure(
    con: duckdb.DuckDBPyConnection, items: Path, recommendations: Path | None
) -> Figure | None:
    """Give the plot of how unevenly events fall on the items, and places in lists; None without events."""
    curves: dict[str, Floats] = {"events": _concentration(con, f"SELECT events FROM {parquet(items)}")}
    if recommendations is not None:
        places = f"SELECT item_id, count(*) AS places FROM {parquet(recommendations)} GROUP BY item_id"
        sql = f"SELECT coalesce(places, 0) FROM {parquet(items)} LEFT JOIN ({places}) USING (item_id)"
        curves["recommendations"] = _concentration(con, sql)
    curves = {name: curve for name, curve in curves.items() if len(curve)}
    if "events" not in curves:
        return None
    svg = plots.plot("popularity", lambda axis: plots.concentration(axis, curves))
    tenth = max(1, round(len(curves["events"]) / 10))
    said = ", and ".join(f"{curve[tenth - 1]:.0%} of the {name}" for name, curve in curves.items())
    caption = f"To a tenth of the catalogue ({tenth:,} items) fall {said}."
    head = "Popularity in the catalogue" + (" and in the lists" if len(curves) > 1 else "")
    alt = f"Cumulated share of all against the number of items, the most frequent first. {caption}"
    return Figure("popularity", head, svg, caption, alt)


def churn_figure(churn: Churn | None, before: str) -> Figure | None:
    """Give the plot of how much of their lists users keep; None where there is nothing to compare with."""
    if churn is None:
        return None
    shares = [users / churn.users for users in churn.kept]
    svg = plots.plot("churn", lambda axis: plots.kept_items(axis, shares))
    some = "" if churn.share == 1 else f" (a sample: one in {1 / churn.share:.0f})"
    caption = (
        f"{churn.changed:.0%} of {churn.users:,} users{some} have another top {churn.depth} than {before}; "
        f"on average {churn.overlap:.0%} of it stays, and {churn.same / churn.users:.0%} keep every item in "
        f"its place."
    )
    said = "; ".join(f"{n} kept: {share:.1%}" for n, share in enumerate(shares))
    return Figure("churn", "Changes in the lists", svg, caption, f"Users by items kept. {said}.")


def _concentration(con: duckdb.DuckDBPyConnection, sql: str) -> Floats:
    """Return the cumulated shares of counts, the largest first, float64 (items,); none where all are 0."""
    counts = con.sql(sql).fetchnumpy()
    values = np.asarray(next(iter(counts.values())), dtype=np.float64)
    ordered = np.sort(values)[::-1].cumsum()
    return ordered / ordered[-1] if len(ordered) and ordered[-1] else np.empty(0)
