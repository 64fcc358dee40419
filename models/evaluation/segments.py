"""Metrics per segment of users or items."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.errors import ModelError
from models.evaluation.metrics import Matches, Values, match_lists

Codes = npt.NDArray[np.integer]


@dataclass(frozen=True)
class SegmentFigure:
    """The mean of a metric over the measured users of a segment; None without any."""

    segment: str
    metric: str
    k: int
    value: float | None
    users: int


def by_user(
    values: Mapping[tuple[str, int], Values], codes: Codes, names: Sequence[str]
) -> list[SegmentFigure]:
    """Return the means of per-user values over each segment of users.

    ``values`` by metric and k, float64 (n_users,), NaN if not measured; ``codes`` (n_users,): index
    into ``names``, -1 for users in no segment. Segments without users have a row, too.
    """
    figures = []
    for (metric, k), column in values.items():
        _check_codes(codes, len(column), names)
        measured = ~np.isnan(column) & (codes >= 0)
        users = np.bincount(codes[measured], minlength=len(names))
        totals = np.bincount(codes[measured], column[measured], len(names))
        for name, count, total in zip(names, users.tolist(), totals.tolist(), strict=True):
            figures.append(SegmentFigure(name, metric, k, total / count if count else None, count))
    return figures


def by_item(
    items: npt.NDArray[np.int32],
    relevant: sparse.csr_array,
    ks: Collection[int],
    codes: Codes,
    names: Sequence[str],
    *,
    threads: int = 0,
) -> dict[str, Matches]:
    """Match the lists with the relevant items of each segment of items.

    ``codes`` (n_items,) as in ``by_user``. With head and tail, for example, the recall of the tail
    is the share of the relevant tail items in the lists. Users without relevant items in a segment
    are not measured in it.
    """
    _check_codes(codes, relevant.shape[1], names)
    by_segment = {}
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    for code, name in enumerate(names):
        kept = codes[relevant.indices] == code
        indptr = np.concatenate(([0], np.cumsum(np.bincount(rows[kept], minlength=relevant.shape[0]))))
        parts = (relevant.data[kept], relevant.indices[kept], indptr)
        by_segment[name] = match_lists(
            items, sparse.csr_array(parts, shape=relevant.shape), ks, threads=threads
        )
    return by_segment


def _check_codes(codes: Codes, size: int, names: Sequence[str]) -> None:
    if codes.shape != (size,):
        raise ModelError(f"expected {size} codes, got {codes.shape}")
    if size and (codes.min() < -1 or codes.max() >= len(names)):
        raise ModelError(f"expected codes from -1 to {len(names) - 1}, got {codes.min()}..{codes.max()}")
