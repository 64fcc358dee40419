"""The station `similar_items`: for every item with events, the items most similar to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
ROWS = 500_000  # written at a time, which bounds Arrow's memory


def similar_items(
    configuration: Configuration, dataset: Path, artefact: Path, staging: Path, report: Report = silent
) -> int:
    """Write the table similar_items into `staging`; return its number of rows.

    Every item has the same number of rows: the configured number, or that of all other items. Lists
    that the model leaves empty are filled by co-occurrence, then by popularity; `source` says
    which.
    """
    from models.artefact import load
    from models.ranking.ladder import fill
    from models.ranking.similarity import self_exclusions

    items = read(dataset, "items", ["item_id", "available"])
    allowed = items["available"].to_numpy()
    n = rows_per_item(configuration, allowed)
    model, seen = load(artefact), load_seen(dataset)
    ladder = make_ladder(configuration, dataset, allowed)
    sources = pa.array([model.name, "co_occurrence", *ladder.names[-2:]])
    step = max(1, min(BLOCK, ROWS // max(n, 1)))
    with TableWriter(staging, "similar_items", id_types(configuration)) as writer:
        for start in range(0, len(items) if n else 0, step):
            block = np.arange(start, min(start + step, len(items)), dtype=np.int32)
            top, filled = _most_similar(model, seen, block, n, allowed, configuration.resources)
            steps = np.tile(ladder.steps[0, -2:], (len(block), 1))
            full, origin = fill(top, ladder.rankings, steps, self_exclusions(block, len(items)), repeat=False)
            source = sources.take(pa.array(np.where(origin == 0, filled[:, None], origin + 1).ravel()))
            writer.write(_columns(items["item_id"], block, full, source))
            report("similar_items", int(block[-1]) + 1, len(items))
    return writer.rows


def similar_model(served: str, measured: Mapping[str, float], names: Sequence[str]) -> str:
    """Return the model whose similar items are shown: the served one, unless it is no personal one.

    A floor knows nothing of items. Then it is the best by `measured`, the metric of each model (the
    first of `names` without any), of the personal models that list similar items and are no blend;
    the floor, if there are none.
    """
    from models import registry
    from models.abilities import HasSimilarItems

    if registry.model_class(served).personal:
        return served
    classes = {name: registry.model_class(name) for name in names}
    able = [
        name
        for name, model in classes.items()
        if model.personal and issubclass(model, HasSimilarItems) and not hasattr(model, "adopt")  # a blend
    ]
    return max(able, key=lambda name: measured.get(name, 0.0), default=served)


def rows_per_item(configuration: Configuration, allowed: Any) -> int:
    """Return the number of rows per item: as configured, or all other items if these are fewer."""
    return max(0, min(configuration.top_n.similar, int(allowed.sum()) - 1))


def _most_similar(  # noqa: PLR0917
    model: Any, seen: Any, block: Ints, n: int, allowed: Allowed, resources: Resources
) -> tuple[TopN, Allowed]:
    """Return the model's lists, empty ones filled by co-occurrence, and the mask of the filled."""
    from models.abilities import HasSimilarItems
    from models.options import resource_limits
    from models.ranking.similarity import co_occurring
    from models.ranking.topn import TopN

    top = TopN.empty(len(block), n)
    with resource_limits(resources.threads, resources.block_bytes):
        if isinstance(model, HasSimilarItems):
            top = model.similar_items(block, n, allowed=allowed)
        filled = top.items[:, 0] < 0
        rows = max(1, resources.block_bytes // (16 * len(allowed)))  # 16 bytes a score
        empty = np.flatnonzero(filled)
        for start in range(0, len(empty), rows):
            positions = empty[start : start + rows]
            co_occurrence = co_occurring(seen, block[positions], n, allowed=allowed)
            top.items[positions], top.scores[positions] = co_occurrence.items, co_occurrence.scores
    return top, filled


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
