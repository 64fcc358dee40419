"""What readers had, on the page about a run: figures by segment, and plots over nights and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow.parquet as pq

from tasks.report import plots
from tasks.report.figures import Figure, metric_label
from tasks.report.plots import Line
from tasks.report.summary import judged_sentence, table_file
from tasks.store.layout import Store
from tasks.store.runs import RunRecord

Row = dict[str, Any]
FIRST: Final = ("all", "model", "source", "activity")  # segments, before the attributes of users
NUMBERS: Final = ("users", "users with a hit", "recall", "NDCG", "NDCG, 95 %", "events", "listed", "in list")


@dataclass(frozen=True)
class WhatReadersHad:
    """A sentence, tonight's rows by segment, and the plots; rows and plots may be empty."""

    sentence: str
    rows: list[Row]
    figures: list[Figure]


def what_readers_had(store: Store, record: RunRecord) -> WhatReadersHad | None:
    """Return what a run says about the lists that readers had; None if it did not judge them."""
    path = table_file(store, record, "release_scores")
    if path is None or not record.finished("release_scores"):
        return None
    with pq.ParquetFile(path) as file:
        nights = file.read().to_pylist()
    tonight = [row for row in nights if row["as_of"] == record.as_of]
    k = max((row["k"] for row in tonight if row["segment"] == "all"), default=0)
    figures = [*_nights_figure(nights, k), *_ranks_figure(tonight)]
    return WhatReadersHad(judged_sentence(record), list(_segments(tonight, k)), figures)


def _segments(tonight: Sequence[Row], k: int) -> Iterator[Row]:
    """Yield the figures of each segment at the full length of the lists."""
    whole = [row for row in tonight if row["k"] == k and row["segment"] != "rank"]
    order = {name: position for position, name in enumerate(FIRST)}
    for row in sorted(whole, key=lambda row: order.get(row["segment"], len(FIRST))):  # stable
        name = "all users" if row["segment"] == "all" else f"{row['segment']} {row['segment_value']}"
        yield {
            "segment": name,
            "users": row["users_judged"],
            "users with a hit": _share(row["users_hit"], row["users_judged"]),
            "recall": _decimals(row["recall"]),
            "NDCG": _decimals(row["ndcg"]),
            "NDCG, 95 %": " – ".join(filter(None, map(_decimals, (row["ndcg_low"], row["ndcg_high"])))),
            "events": row["events"],
            "listed": _share(row["events_listed"], row["events"]),
            "in list": _share(row["events_found"], row["events"]),
        }


def _nights_figure(nights: Sequence[Row], k: int) -> Iterator[Figure]:
    """Yield the plot of NDCG over the nights whose lists had this length, if there are two."""
    judged = [row for row in nights if (row["segment"], row["k"]) == ("all", k) and row["ndcg"] is not None]
    if len(judged) < 2:
        return
    ndcg, low, high = ([row[name] for row in judged] for name in ("ndcg", "ndcg_low", "ndcg_high"))
    line, label = Line("lists", 0, list(range(len(judged))), ndcg, low, high), metric_label("ndcg", k)
    dates = [f"{row['as_of']:%m-%d}" for row in judged]
    svg = plots.plot("judged", lambda axis: plots.nights(axis, [line], dates, label))
    span = f"{judged[0]['as_of']} to {judged[-1]['as_of']}"
    caption = f"{span}. Each night judges the lists of the release before. Shaded: 95 % intervals."
    title = f"{label} of what readers had, over {len(judged)} nights"
    yield Figure("judged", title, svg, caption, f"{label} from {ndcg[0]:.3f} to {ndcg[-1]:.3f}. {span}.")


def _ranks_figure(tonight: Sequence[Row]) -> Iterator[Figure]:
    """Yield the plot of the share of lists with a hit at each rank, if any list was judged."""
    ranks = sorted((row for row in tonight if row["segment"] == "rank"), key=lambda row: row["k"])
    if not ranks:
        return
    shares = [row["hits"] / row["listed_rows"] for row in ranks]
    line = Line("lists", 0, [row["k"] for row in ranks], shares)
    svg = plots.plot("ranks", lambda axis: plots.by_rank(axis, line, "share of lists with a hit"))
    caption = (
        f"Of {ranks[0]['listed_rows']:,} lists of users who came back, {shares[0]:.1%} have a hit at the "
        f"first rank and {shares[-1]:.1%} at rank {ranks[-1]['k']}. A hit is an item that the user then met "
        "for the first time."
    )
    yield Figure("ranks", "Hits by rank", svg, caption, caption)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
