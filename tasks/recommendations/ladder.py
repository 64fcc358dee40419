"""The fallback ladder of a dataset: rankings of popular items, and each user's order of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read, rows
from tasks.release.tables import POPULAR_RECENTLY, popular_source

if TYPE_CHECKING:
    from models.ranking.ladder import Rankings

Ints = npt.NDArray[np.int32]
Key = tuple[str, str, int]  # segment, segment value, hours of the window


@dataclass(frozen=True)
class Ladder:
    """Rankings of items, and which of them each user falls back on, in which order.

    ``steps`` int32 (n_users, n_steps): the index of a user's ranking at each step, -1 for none.
    ``names``: the source of each step. The last two steps are the same for everybody: all-time
    popularity and the whole catalogue.
    """

    rankings: Rankings
    steps: Ints
    names: tuple[str, ...]


def make_ladder(
    configuration: Configuration,
    dataset: Path,
    allowed: npt.NDArray[np.bool_],
    half_life_days: float | None = None,
) -> Ladder:
    """Return the ladder: the user's segment, recent popularity, all-time popularity, the catalogue.

    ``allowed`` bool (n_items,): the items that may be recommended. With a half-life, popularity by
    that comes before the popularity of the fallback window.
    """
    from models.ranking.ladder import Rankings

    settings = configuration.popular
    n_users, ranked = rows(dataset, "users"), _ranked_items(read(dataset, "ladder"))
    lists, steps, names = [], [], []
    if settings.fallback_segment is not None:
        values = [value for segment, value, _ in ranked if segment == settings.fallback_segment]
        lists += [ranked[settings.fallback_segment, value, settings.fallback_hours] for value in values]
        steps.append(attribute_positions(settings.fallback_segment, dataset, values))
        names.append(f"popular_{settings.fallback_segment}")
    everybody = {}
    if half_life_days is not None:
        everybody[POPULAR_RECENTLY] = _recent_items(dataset, allowed, half_life_days)
    everybody |= {
        popular_source(hours / 24): ranked.get(("all", "all", hours), np.zeros(0, np.int32))
        for hours in (settings.fallback_hours, 0)
    }
    for name, items in (*everybody.items(), ("catalogue", np.flatnonzero(allowed).astype(np.int32))):
        steps.append(np.full(n_users, len(lists), np.int32))
        lists.append(items)
        names.append(name)
    return Ladder(Rankings.of(lists), np.stack(steps, axis=1), tuple(names))


def _recent_items(dataset: Path, allowed: npt.NDArray[np.bool_], half_life_days: float) -> Ints:
    """Return the items that may be recommended by their popularity with a half-life, ties by index.

    The popularity is that of the model recent_popularity; items without any are left out.
    """
    from models.recency.half_life import DAY, PairEvents
    from tasks.dataset.arrays import load_dataset

    last = PairEvents.of(load_dataset(dataset)).last()
    popularity = np.where(allowed, last.popularity(int(last.times.max()), half_life_days * DAY), 0)
    order = np.argsort(-popularity, kind="stable")
    return order[popularity[order] > 0].astype(np.int32)


def _ranked_items(table: pa.Table) -> dict[Key, Ints]:
    """Return the items of each segment, value and window, best first, ties by index.

    The rows of `table` are sorted by segment, value, window and item.
    """
    keys = [table[name].combine_chunks() for name in ("segment", "segment_value", "window_hours")]
    items, scores = (table[name].to_numpy() for name in ("item_index", "score"))
    changed = np.zeros(max(len(table) - 1, 0), dtype=np.bool_)
    for key in keys:
        codes = key.dictionary_encode().indices.to_numpy()
        changed |= codes[1:] != codes[:-1]
    starts = np.concatenate((np.zeros(min(len(table), 1), np.int64), np.flatnonzero(changed) + 1))
    lists = {}
    for start, stop in zip(starts, [*starts[1:], len(table)], strict=False):
        segment, value, hours = (key[int(start)].as_py() for key in keys)
        order = np.argsort(-scores[start:stop], kind="stable")
        lists[segment, value, int(hours)] = items[start:stop][order].astype(np.int32)
    return lists


def attribute_positions(segment: str, dataset: Path, values: list[str]) -> Ints:
    """Return the position in `values` of each user's attribute (of several, the first), or -1."""
    table = read(dataset, "user_attributes")
    table = table.filter(pc.equal(table["name"], segment)).group_by("id").aggregate([("value", "min")])
    table_rows = pc.index_in(read(dataset, "users", ["user_id"])["user_id"], table["id"].combine_chunks())
    value = table["value_min"].take(table_rows)
    positions = pc.fill_null(pc.index_in(value, pa.array(values, pa.string())), -1)
    return np.asarray(positions.to_numpy(), dtype=np.int32)
