"""The station `similar_items`: for every item that anyone has met, the items most like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.configuration import Configuration
from tasks.dataset import id_types, load_seen, read
from tasks.progress import Report, silent
from tasks.recommendations import make_ladder
from tasks.table_writer import TableWriter

BLOCK = 4096  # items


def similar_items(
    configuration: Configuration, dataset: Path, artefact: Path, staging: Path, report: Report = silent
) -> int:
    """Write the table similar_items into `staging`; return its rows.

    An item has the same number of rows as every other: the configured number, or as many as there are other
    items. What the model cannot say, co-occurrence does, and then popularity; `source` tells which.
    """
    from models.artefact import load
    from models.ladder import fill

    items = read(dataset, "items", ["item_id", "available"])
    allowed = items["available"].to_numpy()
    n = min(configuration.top_n.similar, int(allowed.sum()) - 1)
    model, seen = load(artefact), load_seen(dataset)
    ladder = make_ladder(configuration, dataset, allowed)
    popular = ladder.rankings
    general = [place for place, name in enumerate(ladder.names) if name in ("popular_all_time", "catalogue")]
    sources = pa.array([model.name, "co_occurrence", "popular_all_time", "catalogue"])
    with TableWriter(staging, "similar_items", id_types(configuration)) as writer:
        for start in range(0, len(items) if n > 0 else 0, BLOCK):
            block = np.arange(start, min(start + BLOCK, len(items)), dtype=np.int32)
            top, met = _most_similar(model, seen, block, n, allowed)
            steps = np.tile(ladder.steps[0, general], (len(block), 1)).astype(np.int32)
            full, origin = fill(top, popular, steps, _itself(block, len(items)), repeat=False)
            origin = np.where(origin == 0, met, origin + 1)
            writer.write(_columns(items["item_id"], block, full, sources.take(pa.array(origin.ravel()))))
            report("similar_items", int(block[-1]) + 1, len(items))
    return writer.rows


def _most_similar(
    model: Any, seen: Any, block: npt.NDArray[np.int32], n: int, allowed: npt.NDArray[np.bool_]
) -> tuple[Any, npt.NDArray[np.int8]]:
    """Return the model's lists, those that it leaves empty from co-occurrence, and which is which (0, 1)."""
    from models.base import HasSimilarItems
    from models.similarity import co_occurring
    from models.topn import TopN

    top = TopN.empty(len(block), n)
    if isinstance(model, HasSimilarItems):
        top = model.similar_items(block, n, allowed=allowed)
    empty = top.items[:, 0] < 0
    met = np.zeros(top.items.shape, dtype=np.int8)
    if empty.any():
        other = co_occurring(seen, block[empty], n, allowed=allowed)
        top.items[empty], top.scores[empty] = other.items, other.scores
        met[empty] = 1
    return top, met


def _itself(block: npt.NDArray[np.int32], n_items: int) -> Any:
    from scipy import sparse

    ones = np.ones(len(block), dtype=np.float32)
    return sparse.csr_array((ones, block, np.arange(len(block) + 1)), shape=(len(block), n_items))


def _columns(item_ids: pa.ChunkedArray, block: npt.NDArray[np.int32], top: Any, source: pa.Array) -> dict[str, Any]:
    rows, n = top.items.shape
    return {
        "item_id": item_ids.take(pa.array(np.repeat(block, n))),
        "rank": pa.array(np.tile(np.arange(1, n + 1, dtype=np.int32), rows)),
        "similar_item_id": item_ids.take(pa.array(top.items.ravel())),
        "score": pa.array(top.scores.ravel()),
        "source": source,
    }
