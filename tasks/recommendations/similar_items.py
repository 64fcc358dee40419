"""The station `similar_items`: for every item that anyone has met, the items most like it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.dataset.arrays import load_seen
from tasks.dataset.parts import read
from tasks.recommendations.ladder import make_ladder
from tasks.release.writer import TableWriter
from tasks.runtime.progress import Report, silent
from tasks.runtime.resources import Resources

if TYPE_CHECKING:
    from models.ranking.topn import TopN

Ints = npt.NDArray[np.int32]
Allowed = npt.NDArray[np.bool_]
BLOCK = 4096  # items
ROWS = 500_000  # written at a time: bounds what Arrow holds of long lists


def similar_items(
    configuration: Configuration, dataset: Path, artefact: Path, staging: Path, report: Report = silent
) -> int:
    """Write the table similar_items into `staging`; return its rows.

    An item has the same number of rows as every other: the configured number, or as many as there are other
    items. What the model cannot say, co-occurrence does, and then popularity; `source` tells which.
    """
    from models.artefact import load
    from models.ranking.ladder import fill
    from models.ranking.similarity import themselves

    items = read(dataset, "items", ["item_id", "available"])
    allowed = items["available"].to_numpy()
    n = rows_of_each(configuration, allowed)
    model, seen = load(artefact), load_seen(dataset)
    ladder = make_ladder(configuration, dataset, allowed)
    sources = pa.array([model.name, "co_occurrence", *ladder.names[-2:]])
    step = max(1, min(BLOCK, ROWS // max(n, 1)))
    with TableWriter(staging, "similar_items", id_types(configuration)) as writer:
        for start in range(0, len(items) if n else 0, step):
            block = np.arange(start, min(start + step, len(items)), dtype=np.int32)
            top, met = _most_similar(model, seen, block, n, allowed, configuration.resources)
            steps = np.tile(ladder.steps[0, -2:], (len(block), 1))
            full, origin = fill(top, ladder.rankings, steps, themselves(block, len(items)), repeat=False)
            source = sources.take(pa.array(np.where(origin == 0, met[:, None], origin + 1).ravel()))
            writer.write(_columns(items["item_id"], block, full, source))
            report("similar_items", int(block[-1]) + 1, len(items))
    return writer.rows


def rows_of_each(configuration: Configuration, allowed: Any) -> int:
    """Return the rows of every item: as configured, or as many as there are others to recommend."""
    return max(0, min(configuration.top_n.similar, int(allowed.sum()) - 1))


def _most_similar(  # noqa: PLR0917
    model: Any, seen: Any, block: Ints, n: int, allowed: Allowed, resources: Resources
) -> tuple[TopN, Allowed]:
    """Return the model's lists, those that it leaves empty from co-occurrence, and which are the latter."""
    from models.base import HasSimilarItems
    from models.options import limited
    from models.ranking.similarity import co_occurring
    from models.ranking.topn import TopN

    top = TopN.empty(len(block), n)
    with limited(resources.threads, resources.block_bytes):
        if isinstance(model, HasSimilarItems):
            top = model.similar_items(block, n, allowed=allowed)
        met = top.items[:, 0] < 0
        rows = max(1, resources.block_bytes // (16 * len(allowed)))  # scores and what makes them: 16 bytes
        empty = np.flatnonzero(met)
        for start in range(0, len(empty), rows):
            own = empty[start : start + rows]
            other = co_occurring(seen, block[own], n, allowed=allowed)
            top.items[own], top.scores[own] = other.items, other.scores
    return top, met


def _columns(item_ids: pa.ChunkedArray, block: Ints, top: TopN, source: pa.Array) -> dict[str, Any]:
    """Return the rows of a block as columns."""
    rows, n = top.items.shape
    return {
        "item_id": item_ids.take(pa.array(np.repeat(block, n))),
        "rank": pa.array(np.tile(np.arange(1, n + 1, dtype=np.int32), rows)),
        "similar_item_id": item_ids.take(pa.array(top.items.ravel())),
        "score": pa.array(top.scores.ravel()),
        "source": source,
    }
