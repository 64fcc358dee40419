"""The station `recommendations`: exactly N items for every known user, by the model and the ladder."""

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
from tasks.dataset.arrays import load_histories, load_seen
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
ROWS = 500_000  # written at a time: bounds what Arrow holds of long lists


@dataclass(frozen=True)
class Filled:
    """Rows of recommendations by source."""

    users: int
    rows: int
    by_source: dict[str, int]


@dataclass(frozen=True)
class Block:
    """Full lists of the users from `start` on, with the place in the sources and the reason of each row."""

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
) -> Filled:
    """Write the table recommendations into `staging`, for the model in `artefact`.

    Or for several: then `artefact` has one for each name of `serving`, which says whom each serves.

    Raises
    ------
    InputError
        If N is larger than the catalogue, or a list stays short where shortage = "fail".
    """
    items = read(dataset, "items", ["item_id", "available"])
    allowed = items["available"].to_numpy()
    require_enough(configuration.top_n.n, allowed)
    users = read(dataset, "users", ["user_id"])["user_id"].combine_chunks()
    served = ServedLists.of(artefact, serving, dataset, load_histories(dataset))
    ladder = make_ladder(configuration, dataset, allowed)
    sources = pa.array([*(model.name for model in served.models), *ladder.names, SEEN_BEFORE])
    counts = np.zeros(len(sources), dtype=np.int64)
    with TableWriter(staging, "recommendations", id_types(configuration)) as writer:
        for block in _blocks(configuration, dataset, served, ladder, allowed):
            for columns in _columns(block, users, items["item_id"], sources):
                writer.write(columns)
            counts += np.bincount(block.origin.ravel(), minlength=len(sources))
            report("recommendations", block.start + len(block.origin), len(users))
    named = zip(sources.to_pylist(), counts.tolist(), strict=True)
    return Filled(len(users), writer.rows, {name: count for name, count in named if count})


def require_enough(n: int, allowed: npt.NDArray[np.bool_]) -> None:
    """Raise InputError if there are fewer items to recommend than places in a list."""
    if n > allowed.sum():
        raise InputError(
            f"top_n.n: expected at most the {allowed.sum()} items that may be recommended, got {n}: "
            "lower top_n.n or take in more items"
        )


def _blocks(
    configuration: Configuration,
    dataset: Path,
    served: ServedLists,
    ladder: Ladder,
    allowed: npt.NDArray[np.bool_],
) -> Iterator[Block]:
    """Yield full lists, block after block, in the order of the users."""
    from models.ranking.ladder import fill

    settings, resources = configuration.top_n, configuration.resources
    exclude = None if settings.repeats else load_seen(dataset)
    limits = {"block_bytes": resources.block_bytes, "threads": resources.threads}
    for start, top in served.blocks(settings.n, exclude=exclude, allowed=allowed, **limits):
        own = slice(start, start + len(top.items))
        seen, repeat = None if exclude is None else exclude[own], settings.shortage == "repeat"
        full, origin = fill(top, ladder.rankings, ladder.steps[own], seen, repeat=repeat)
        short = (origin < 0).any(axis=1)
        if short.any():
            raise InputError(
                f"top_n.n = {settings.n} is more than {short.sum()} of the first {own.stop} users have left: "
                "they have seen nearly everything that may be recommended. Lower top_n.n, or set "
                'top_n.shortage = "repeat" or top_n.repeats = true'
            )
        reasons = served.reasons(np.where(origin == 0, full.items, -1), own)
        last = len(served.models) - 1  # the models' names come before the ladder's
        source = np.where(origin == 0, served.which[own, None], origin + last).astype(np.int8)
        yield Block(start, full, source, reasons)


def _columns(
    block: Block, users: pa.Array, item_ids: pa.ChunkedArray, sources: pa.Array
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a block as columns, some users at a time."""
    n_users, n = block.origin.shape
    step = max(1, ROWS // n)
    for first in range(0, n_users, step):
        own = slice(first, min(first + step, n_users))
        why = block.reasons[own].ravel()
        owners = np.repeat(np.arange(block.start + own.start, block.start + own.stop), n)
        yield {
            "user_id": users.take(pa.array(owners)),
            "rank": pa.array(np.tile(np.arange(1, n + 1, dtype=np.int32), own.stop - own.start)),
            "item_id": item_ids.take(pa.array(block.top.items[own].ravel())),
            "score": pa.array(block.top.scores[own].ravel()),
            "source": sources.take(pa.array(block.origin[own].ravel())),
            "reason_item_id": item_ids.take(pa.array(why, mask=why < 0)),
        }
