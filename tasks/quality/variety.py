"""Checks that need no release before: whether tonight's lists differ between people.

They look at the lists of personal models only: a floor gives everybody the same list by design, and
so does what fills the lists of users of whom a model knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.configuration.configuration import Configuration
from tasks.dataset.parts import read
from tasks.quality.checks import QualityCheck, skipped_check
from tasks.quality.lists import bound_check, read_lists
from tasks.recommendations.serving import Serving
from tasks.runtime.wording import counted

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]
ROWS: Final = 1_000_000  # read at a time
FEWEST_LISTS = 10  # without an item in common that the catalogue must allow
SUSPICIOUS = 0.5  # a share above this part of its bound gets a warning


@dataclass(frozen=True)
class Variety:
    """How much lists of personal models differ; shares are of these lists.

    ``distinct``: items in any of them; ``top_item``: the share of lists with the item that is in
    most of them; ``identical``: the share with the most frequent set of items; ``constant``: the
    share in which the first and the last item have the same score.
    """

    users: int
    distinct: int
    top_item: float
    identical: float
    constant: float


def variety_checks(
    configuration: Configuration, dataset: Path, staging: Path, serving: Serving
) -> Iterator[QualityCheck]:
    """Yield the checks of tonight's lists against bounds that hold for any log."""
    from models import registry

    settings = configuration.quality
    personal = [name for name in serving.names if registry.model_class(name).personal]
    k = min(settings.k, configuration.top_n.n)
    name = f"variety of the lists @{k}"
    if not personal:
        yield skipped_check(name, f"{', '.join(serving.names)} gives everybody the same list")
        return
    items = read(dataset, "items", ["item_id", "available"])
    available = int(pc.sum(items["available"]).as_py() or 0)
    if available < FEWEST_LISTS * k:
        yield skipped_check(name, f"{available} available items, fewer than {FEWEST_LISTS} lists have")
        return
    lists = variety(staging / "recommendations.parquet", items["item_id"].combine_chunks(), personal, k)
    if lists.users < settings.min_users:
        yield skipped_check(name, f"{counted(lists.users, 'user')}, fewer than {settings.min_users}")
        return
    yield QualityCheck(
        f"distinct items in all lists @{k}",
        f"{lists.distinct} of {available}, {lists.users} users",
        f"at least {2 * k}, twice the length of a list",
        lists.distinct >= 2 * k,
        lists.distinct,
    )
    yield _share(f"most shown item, share of lists @{k}", lists.top_item, settings.max_top_item_share)
    yield _share(f"identical lists, share @{k}", lists.identical, settings.max_identical_share)
    yield _share(f"lists of equal scores, share @{k}", lists.constant, settings.max_constant_share)


def variety(path: Path, items: pa.Array, personal: Sequence[str], k: int) -> Variety:
    """Return the variety of the lists that begin with an item of one of the ``personal`` models."""
    lists = read_lists(path, items, k).items
    chosen, constant = _ends(path, personal, lists.shape[1])
    lists = lists[chosen]
    if not len(lists):
        return Variety(0, 0, 0.0, 0.0, 0.0)
    shown = np.bincount(lists[lists >= 0], minlength=1)
    sets = np.ascontiguousarray(np.sort(lists, axis=1))
    _, counts = np.unique(sets.view([("", sets.dtype)] * sets.shape[1]), return_counts=True)
    return Variety(
        len(lists),
        int(np.count_nonzero(shown)),
        float(shown.max() / len(lists)),
        float(counts.max() / len(lists)),
        float(constant[chosen].mean()),
    )


def _ends(path: Path, personal: Sequence[str], k: int) -> tuple[Bools, Bools]:
    """Return, per list, whether a personal model begins it, and whether rank k has the first score.

    Both are bool (n_users,), in the order of the table.
    """
    sources: list[Bools] = []
    scores: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=["rank", "source", "score"]):
            rank, score = batch["rank"].to_numpy(), batch["score"].to_numpy(zero_copy_only=False)
            first = batch.filter(pa.array(rank == 1))["source"]
            sources.append(pc.is_in(first, pa.array(list(personal), first.type)).to_numpy(False))
            scores.append((score[rank == 1], score[rank == k]))
    if not sources:
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    begin, end = (np.concatenate(part) for part in zip(*scores, strict=True))
    equal = begin == end if len(begin) == len(end) and k > 1 else np.zeros(len(begin), np.bool_)
    return np.concatenate(sources), equal


def _share(name: str, value: float, high: float) -> QualityCheck:
    """Return the check of a share, with a warning if it is large but within its bound."""
    check = bound_check(name, value, None, high)
    large = check.passed and value > SUSPICIOUS * high and high < 1
    return replace(check, warning=f"{name}: {value:.0%}, near the bound of {high:.0%}" if large else "")
