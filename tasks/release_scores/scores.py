"""The station `release_scores`: the lists that readers had, judged by the events since."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from models.evaluation.activity import ACTIVITY, BOUNDS
from sql.engines.engine import Engine
from sql.engines.text import render
from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.dataset.parts import parts_of
from tasks.interactions.events import DAY_MICROS, end_of
from tasks.release.releases import Release
from tasks.release.tables import RELEASE_SCORES, IdTypes
from tasks.release_scores.history import earlier_nights
from tasks.release_scores.sentences import no_release, not_judged, sentence
from tasks.runtime.errors import StoreError

PARTS: Final = ("users", "items", "pairs", "sequences", "user_attributes")
COLUMNS: Final = ("user_id", "rank", "item_id", "source")
QUERIES: Final = ("met_items", "shown_rows", "active_users", "active_attributes", "members", "list_parts")
BUILT_IN: Final = ("all", "model", "source", "rank", "activity")
VALUES: Final = 20  # of an attribute, those with the most users
RANKS: Final = 100  # the first ranks, each with a row of its own
UNIT: Final = 1e9  # sums are in whole billionths
Z: Final = 1.959963984540054  # the normal distribution's quantile of 97.5 %
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReleaseScores:
    """The table release_scores, a sentence about tonight's rows or why there are none, warnings."""

    table: pa.Table
    sentence: str
    warnings: tuple[str, ...] = ()


def release_scores(
    configuration: Configuration, engine: Engine, dataset: Path, before: Release | None, as_of: date
) -> ReleaseScores:
    """Judge the lists of the release `before` by the events after its date, up to `as_of`.

    `dataset` is the night's own, so events, bots and forgotten users are those that a model of
    tonight would learn from. The rows of earlier nights are taken over from `before`.

    Per user, with rel_r = 1 if the item at rank r is one that the user met for the first time, and
    n such items: recall@k = sum of rel_r / n; NDCG@k = sum of rel_r / log2(r + 1), by the same sum
    for a list that begins with min(n, k) such items (Järvelin and Kekäläinen 2002, binary gains).
    """
    ids = id_types(configuration)
    tonight = RELEASE_SCORES.schema(ids).empty_table()
    if before is None:
        return ReleaseScores(tonight, no_release(as_of))
    warnings, earlier = [], tonight
    try:
        earlier = earlier_nights(before, as_of, ids)
    except StoreError as damage:
        warnings.append(f"the scores of earlier nights are lost: {damage}")
    unusable = _unusable(before.table("recommendations"), ids)
    if unusable is None:
        tonight = _tonight(configuration, engine, dataset, before, as_of)
        text = sentence(tonight, before.as_of)
    else:
        text = not_judged(before.as_of, unusable)
        warnings.append(text)
    table = pa.concat_tables([earlier, tonight]).sort_by([(name, "ascending") for name in RELEASE_SCORES.key])
    return ReleaseScores(table, text, tuple(warnings))


def _unusable(lists: Path, ids: IdTypes) -> str | None:
    """Return why the lists of an older release cannot be read beside tonight's dataset."""
    try:
        schema = pq.read_schema(lists)
    except (OSError, pa.ArrowException):
        return "the file is damaged"
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        return f"they have no column {', '.join(missing)}"
    if (schema.field("user_id").type, schema.field("item_id").type) != (ids.user, ids.item):
        return "their ids are of another type"
    return None


def _tonight(
    configuration: Configuration, engine: Engine, dataset: Path, before: Release, as_of: date
) -> pa.Table:
    """Return tonight's rows; none without events since."""
    lists = before.table("recommendations")
    for part in PARTS:
        engine.parquet(part, parts_of(dataset, part))
    engine.parquet("judged_lists", [lists])
    ranks = int(engine.fetch("SELECT coalesce(max(rank), 0) AS n FROM judged_lists")["n"][0].as_py())
    for name, rows in _constants(configuration, ranks).items():
        engine.table(name, rows)
    values = _values(configuration, before.as_of)
    for name in QUERIES:
        engine.materialise(name, render(f"release_scores/{name}", values))
    engine.view("slices", render("release_scores/slices", values))
    sums = engine.fetch(render("release_scores/release_scores"))
    return _means(sums, before.as_of, as_of, id_types(configuration))


def _values(configuration: Configuration, judged: date) -> dict[str, Any]:
    """Return the values that fill the templates."""
    light, heavy = BOUNDS
    assert len(ACTIVITY) == len(BOUNDS) + 1  # noqa: S101 - members.sql names them
    since, repeat_after = (
        end_of(judged, configuration.time_zone),
        configuration.top_n.repeat_after_days,
    )
    return {
        "since_micros": since,
        "barred_since_micros": repeat_after and since - repeat_after * DAY_MICROS,
        "repeats": configuration.top_n.repeats,
        "attributes": [name for name in configuration.quality.segments if name not in BUILT_IN],
        "values": VALUES,
        "ranks": RANKS,
        "light": light,
        "heavy": heavy,
    }


def _constants(configuration: Configuration, ranks: int) -> dict[str, pa.Table]:
    """Return the relations cuts (k), gains (rank, gain) and ideals (n, ideal); gains in billionths."""
    cuts = sorted({min(k, ranks) for k in (*configuration.evaluation.ks, ranks)})
    positions = np.arange(1, ranks + 1, dtype=np.int32)
    gains = np.array([round(UNIT / math.log2(rank + 1)) for rank in range(1, ranks + 1)], np.int64)
    return {
        "cuts": pa.table({"k": pa.array(cuts, pa.int32())}),
        "gains": pa.table({"rank": positions, "gain": gains}),
        "ideals": pa.table({"n": positions.astype(np.int64), "ideal": np.cumsum(gains)}),
    }


def _means(sums: pa.Table, judged: date, as_of: date, ids: IdTypes) -> pa.Table:
    """Return rows of the table: means and intervals instead of the sums in billionths."""
    schema, n = RELEASE_SCORES.schema(ids), sums["users_judged"].to_numpy()
    recall, ndcg, squares = (sums[name].to_numpy() / UNIT for name in ("recall", "ndcg", "squares"))
    means = _divided(ndcg, n)
    variance = np.maximum(_divided(squares - n * means * means, n - 1), 0)
    half = Z * np.sqrt(variance / np.maximum(n, 1))
    dates = {"as_of": as_of, "scored_as_of": judged, "first_date": judged + timedelta(days=1)}
    figures = {
        "recall": _divided(recall, n),
        "ndcg": means,
        "ndcg_low": np.maximum(means - half, 0),
        "ndcg_high": np.minimum(means + half, 1),
    }
    columns = {name: pa.array([day] * len(sums), pa.date32()) for name, day in dates.items()}
    columns |= {name: pa.array(figure, from_pandas=True) for name, figure in figures.items()}
    return pa.table(
        [columns[name] if name in columns else sums[name] for name in schema.names], schema=schema
    )


def _divided(sums: Floats, by: npt.NDArray[np.int64]) -> Floats:
    """Return the quotients, NaN where the divisor is not positive."""
    quotients = np.full(len(sums), np.nan)
    np.divide(sums, by, out=quotients, where=by > 0)
    return quotients
