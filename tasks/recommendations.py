"""The station `recommendations`: exactly N items for every known user, from the model and the fallback ladder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.configuration import Configuration, bytes_of
from tasks.dataset import id_types, load_histories, load_seen, read
from tasks.errors import InputError
from tasks.progress import Report, silent
from tasks.table_writer import TableWriter
from tasks.tables import SEEN_BEFORE


@dataclass(frozen=True)
class Ladder:
    """The fallback ladder of every user: rankings, each user's steps, and what each step is called."""

    rankings: Any
    steps: npt.NDArray[np.int32]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Filled:
    """Rows of recommendations by source."""

    users: int
    rows: int
    by_source: dict[str, int]


def recommendations(
    configuration: Configuration, dataset: Path, artefact: Path, staging: Path, report: Report = silent
) -> Filled:
    """Write the table recommendations for the model in `artefact` into `staging`.

    Raises
    ------
    InputError
        If N is larger than the catalogue, or a list stays short where shortage = "fail".
    """
    from models.artefact import load
    from models.base import Factorised
    from models.ladder import fill

    settings = configuration.top_n
    items = read(dataset, "items", ["item_id", "available"])
    allowed = items["available"].to_numpy()
    require_enough(settings.n, allowed)
    users = read(dataset, "users", ["user_id"])["user_id"].combine_chunks()
    model, histories, seen = load(artefact), load_histories(dataset), load_seen(dataset)
    exclude = None if settings.repeats else seen
    ladder = make_ladder(configuration, dataset, allowed)
    vectors = model.item_vectors() if isinstance(model, Factorised) else None
    sources = pa.array([model.name, *ladder.names, SEEN_BEFORE])
    by_source: Counter[str] = Counter()
    with TableWriter(staging, "recommendations", id_types(configuration)) as writer:
        for start, top in model.iter_recommend(
            histories,
            settings.n,
            exclude=exclude,
            allowed=allowed,
            block_bytes=bytes_of(settings.memory),
            threads=configuration.engine.threads,
        ):
            stop = start + len(top.items)
            rows = None if exclude is None else exclude[start:stop]
            full, origin = fill(top, ladder.rankings, ladder.steps[start:stop], rows, settings.shortage == "repeat")
            if (origin < 0).any():
                raise InputError(_short(settings.n, int((origin < 0).any(axis=1).sum())))
            why = _reasons(full.items, origin, histories.matrix[start:stop], vectors)
            writer.write(_columns(users.slice(start, stop - start), items["item_id"], full, sources.take(origin.ravel()), why))
            for place, count in zip(*np.unique(origin, return_counts=True), strict=True):
                by_source[sources[int(place)].as_py()] += int(count)
            report("recommendations", stop, len(users))
    return Filled(len(users), writer.rows, dict(by_source))


def require_enough(n: int, allowed: npt.NDArray[np.bool_]) -> None:
    """Raise InputError if there are fewer items to recommend than places in a list."""
    if n > allowed.sum():
        raise InputError(
            f"top_n.n: expected at most the {allowed.sum()} items that may be recommended, got {n}: "
            "lower top_n.n or take in more items"
        )


def make_ladder(configuration: Configuration, dataset: Path, allowed: npt.NDArray[np.bool_]) -> Ladder:
    """Return the ladder: the user's segment, recent popularity, popularity of all time, the whole catalogue."""
    from models.ladder import Rankings

    settings = configuration.popular
    table = read(dataset, "ladder")
    n_users = len(read(dataset, "users", ["user_index"]))
    lists, places, names = [], [], []
    if settings.fallback_segment is not None:
        segment = table.filter(pc.equal(table["segment"], settings.fallback_segment))
        values = sorted(set(segment["segment_value"].to_pylist()))
        lists += [_ranked(segment.filter(pc.equal(segment["segment_value"], value))) for value in values]
        places.append(_segment_of_users(configuration, dataset, values))
        names.append(f"popular_{settings.fallback_segment}")
    overall = table.filter(pc.equal(table["segment"], "all"))
    for window in dict.fromkeys((settings.fallback_window, 0)):
        places.append(np.full(n_users, len(lists), np.int32))
        lists.append(_ranked(overall.filter(pc.equal(overall["window_days"], window))))
        names.append("popular_all_time" if window == 0 else f"popular_{window}_days")
    places.append(np.full(n_users, len(lists), np.int32))
    lists.append(np.flatnonzero(allowed).astype(np.int32))
    names.append("catalogue")
    return Ladder(Rankings.of(lists), np.stack(places, axis=1).astype(np.int32), tuple(names))


def _ranked(scores: pa.Table) -> npt.NDArray[np.int32]:
    ordered = scores.sort_by([("score", "descending"), ("item_index", "ascending")])
    return np.asarray(ordered["item_index"].to_numpy(), dtype=np.int32)


def _segment_of_users(configuration: Configuration, dataset: Path, values: list[str]) -> npt.NDArray[np.int32]:
    """Return the place of each user's segment value among `values`, -1 for none; the smallest of several."""
    table = read(dataset, "user_attributes")
    table = table.filter(pc.equal(table["name"], configuration.popular.fallback_segment))
    table = table.group_by("id").aggregate([("value", "min")])
    users = read(dataset, "users", ["user_id"])["user_id"]
    owner = pc.index_in(users, table["id"])
    value = table["value_min"].take(owner)
    return np.asarray(pc.fill_null(pc.index_in(value, pa.array(values, pa.string())), -1).to_numpy(), dtype=np.int32)


def _reasons(items: Any, origin: Any, matrix: Any, vectors: Any) -> npt.NDArray[np.int32]:
    from models.reasons import reasons

    if vectors is None:
        return np.full(items.shape, -1, dtype=np.int32)
    return reasons(np.where(origin == 0, items, -1).astype(np.int32), matrix, vectors)


def _columns(users: pa.Array, item_ids: pa.ChunkedArray, top: Any, source: pa.Array, why: Any) -> dict[str, Any]:
    n_users, n = top.items.shape
    reason = pa.array(why.ravel(), mask=why.ravel() < 0)
    return {
        "user_id": users.take(pa.array(np.repeat(np.arange(n_users), n))),
        "rank": pa.array(np.tile(np.arange(1, n + 1, dtype=np.int32), n_users)),
        "item_id": item_ids.take(pa.array(top.items.ravel())),
        "score": pa.array(top.scores.ravel()),
        "source": source,
        "reason_item_id": item_ids.take(reason),
    }


def _short(n: int, users: int) -> str:
    return (
        f"top_n.n = {n} is more than {users} users have left: they have seen nearly everything that may be recommended. "
        'Lower top_n.n, or set top_n.shortage = "repeat" or top_n.repeats = true'
    )
