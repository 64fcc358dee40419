"""The station `recommendations`: exactly N items for every user, from the model and the ladder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.configuration.configuration import Configuration
from tasks.configuration.ids import id_types
from tasks.dataset.arrays import load_barred, load_histories
from tasks.dataset.parts import read
from tasks.recommendations.ladder import Ladder, make_ladder
from tasks.recommendations.served_lists import ServedLists
from tasks.recommendations.serving import Serving
from tasks.release.tables import SEEN_BEFORE
from tasks.release.writer import TableWriter
from tasks.runtime.errors import InputError
from tasks.runtime.progress import Report, silent

if TYPE_CHECKING:
    from models.ranking.topn import TopN

Ints = npt.NDArray[np.int32]
ROWS = 500_000  # written at a time, which bounds Arrow's memory


@dataclass(frozen=True)
class ListCounts:
    """The number of users and of rows of recommendations, in total and by source."""

    users: int
    rows: int
    by_source: dict[str, int]


@dataclass(frozen=True)
class Block:
    """Full lists of the users from `start` on, with the source and the reason of each row.

    `origin` (n_users, n): positions in the sources; `reasons` (n_users, n): item indices, -1 for
    none.
    """

    start: int
    top: TopN
    origin: npt.NDArray[np.int8]
    reasons: Ints


def recommendations(  # noqa: PLR0917
    configuration: Configuration,
    dataset: Path,
    artefact: Path | Mapping[str, Path],
    staging: Path,
    report: Report = silent,
    serving: Serving | None = None,
    half_life_days: float | None = None,
) -> ListCounts:
    """Write the table recommendations into `staging`, from the model in `artefact`.

    With several models, `artefact` maps the names of `serving` to folders, and `serving` assigns
    users. `half_life_days` is that of popularity in this log, for the fallback ladder; None if old
    events predict as well as new ones.

    Raises
    ------
    InputError
        If no item may be recommended, or a list stays short and shortage = "fail".
    """
    items = read(dataset, "items", ["item_id", "available"])
    allowed = items["available"].to_numpy()
    users = read(dataset, "users", ["user_id"])["user_id"].combine_chunks()
    served = ServedLists.of(artefact, serving, dataset, load_histories(dataset))
    ladder = make_ladder(configuration, dataset, allowed, half_life_days)
    sources = pa.array([*(model.name for model in served.models), *ladder.names, SEEN_BEFORE])
    counts = np.zeros(len(sources), dtype=np.int64)
    with TableWriter(staging, "recommendations", id_types(configuration)) as writer:
        for block in _blocks(configuration, dataset, served, ladder, allowed):
            for columns in _columns(block, users, items["item_id"], sources):
                writer.write(columns)
            counts += np.bincount(block.origin.ravel(), minlength=len(sources))
            report("recommendations", block.start + len(block.origin), len(users))
    by_source = zip(sources.to_pylist(), counts.tolist(), strict=True)
    return ListCounts(len(users), writer.rows, {name: count for name, count in by_source if count})


def rows_per_user(configuration: Configuration, allowed: npt.NDArray[np.bool_]) -> int:
    """Return the length of a list: as configured, or all items that may be recommended if fewer.

    InputError if there are none, or fewer than configured and shortage = "fail".
    """
    settings, available = configuration.top_n, int(allowed.sum())
    if not available:
        raise InputError(
            "expected at least one item that may be recommended, got none: see [items] available and only, "
            "and top_n.blocked_items"
        )
    if available < settings.n and settings.shortage == "fail":
        raise InputError(
            f"top_n.n: expected at most the {available} items that may be recommended, got {settings.n}: "
            "lower top_n.n or ingest more items"
        )
    return min(settings.n, available)


def _blocks(
    configuration: Configuration,
    dataset: Path,
    served: ServedLists,
    ladder: Ladder,
    allowed: npt.NDArray[np.bool_],
) -> Iterator[Block]:
    """Yield blocks of full lists, in the order of the users."""
    from models.ranking.ladder import fill

    settings, resources = configuration.top_n, configuration.resources
    exclude = None if settings.repeats else load_barred(dataset)
    limits = {"block_bytes": resources.block_bytes, "threads": resources.threads}
    n = rows_per_user(configuration, allowed)
    for start, top in served.blocks(n, exclude=exclude, allowed=allowed, **limits):
        block = slice(start, start + len(top.items))
        seen, repeat = None if exclude is None else exclude[block], settings.shortage == "repeat"
        full, origin = fill(top, ladder.rankings, ladder.steps[block], seen, repeat=repeat)
        short = (origin < 0).any(axis=1)
        if short.any():
            raise InputError(
                f"top_n.n: expected {settings.n} unseen items for every user, but {short.sum()} of the first "
                f"{block.stop} users have fewer. Lower top_n.n, or set "
                'top_n.shortage = "repeat" or top_n.repeats = true'
            )
        reasons = served.reasons(np.where(origin == 0, full.items, -1), block)
        last = len(served.models) - 1  # models come before the ladder's steps
        source = np.where(origin == 0, served.which[block, None], origin + last).astype(np.int8)
        yield Block(start, full, source, reasons)


def _columns(
    block: Block, users: pa.Array, item_ids: pa.ChunkedArray, sources: pa.Array
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a block as columns, about ROWS rows at a time."""
    n_users, n = block.origin.shape
    step = max(1, ROWS // n)
    for first in range(0, n_users, step):
        rows = slice(first, min(first + step, n_users))
        reasons = block.reasons[rows].ravel()
        user_indices = np.repeat(np.arange(block.start + rows.start, block.start + rows.stop), n)
        yield {
            "user_id": users.take(pa.array(user_indices)),
            "rank": pa.array(np.tile(np.arange(1, n + 1, dtype=np.int32), rows.stop - rows.start)),
            "item_id": item_ids.take(pa.array(block.top.items[rows].ravel())),
            "score": pa.array(block.top.scores[rows].ravel()),
            "source": sources.take(pa.array(block.origin[rows].ravel())),
            "reason_item_id": item_ids.take(pa.array(reasons, mask=reasons < 0)),
        }
