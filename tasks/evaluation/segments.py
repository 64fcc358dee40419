"""The metrics of an evaluation by segment: activity of users, popularity of items, attributes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset.parts import read
from tasks.evaluation.evaluation import Evaluation
from tasks.runtime.errors import UserError

if TYPE_CHECKING:
    from models.evaluation.measured import Measured

Row = dict[str, Any]
Codes = npt.NDArray[np.int64]
BUILT_IN: Final = ("activity", "popularity")
"""Segments without an attribute: users by their items (new, light, heavy), items by their users."""
HEAD = ("head", "tail")  # the fifth of the catalogue with the most users, and the rest
MOST_VALUES = 20  # of an attribute, the most frequent ones


class Segments:
    """The tables of some segments of an evaluation; UserError for an unknown segment."""

    def __init__(self, evaluation: Evaluation, names: Collection[str], threads: int) -> None:
        self.evaluation, self.names, self.threads = evaluation, list(dict.fromkeys(names)), threads
        known = [
            *BUILT_IN,
            *(name for kind in ("user", "item") for name in _attributes(evaluation.folder, kind)),
        ]
        for name in self.names:
            if name not in known:
                raise UserError(f"--segments {name}: expected one of {', '.join(known)}, got {name!r}")

    def rows(self) -> Iterator[Row]:
        """Yield rows of model, part, segment, its value, metric, k, value and measured users."""
        for model, runs in self.evaluation.measured.items():
            for part, measured in zip(self.evaluation.parts, runs, strict=True):
                common = {"model": model, "part": part}
                for segment in self.names:
                    yield from (
                        {**common, "segment": segment, **row} for row in self._table(segment, measured)
                    )

    def _table(self, segment: str, measured: Measured) -> Iterator[Row]:
        from models.evaluation.activity import ACTIVITY, activity

        folder = self.evaluation.folder
        if segment == "activity":
            yield from _by_user(measured, activity(measured.history), ACTIVITY)
        elif segment == "popularity":
            yield from self._by_item(measured, _head_codes(measured), HEAD)
        elif folder is not None and segment in _attributes(folder, "user"):
            codes, values = _codes(folder, "user", segment)
            yield from _by_user(measured, codes[measured.users], values)
        elif folder is not None:
            for value, codes in _codes_by_value(folder, segment):
                yield from self._by_item(measured, codes, (value,))

    def _by_item(self, measured: Measured, codes: Codes, names: Collection[str]) -> Iterator[Row]:
        """Yield metrics on the relevant items of each segment; none for protocols without lists."""
        from models.evaluation.segments import by_item

        if measured.items is None or measured.relevant is None:
            return
        ks = sorted({k for _, k in measured.values})
        by_segment = by_item(measured.items, measured.relevant, ks, codes, list(names), threads=self.threads)
        for name, matches in by_segment.items():
            for (metric, k), values in matches.values().items():
                users = int(np.count_nonzero(~np.isnan(values)))
                yield _row(name, metric, k, float(np.nanmean(values)) if users else None, users)


def _by_user(measured: Measured, codes: Codes, names: Collection[str]) -> Iterator[Row]:
    from models.evaluation.segments import by_user

    for figure in by_user(measured.values, codes, list(names)):
        yield _row(figure.segment, figure.metric, figure.k, figure.value, figure.users)


def _row(name: str, metric: str, k: int, value: float | None, users: int) -> Row:
    return {"value_of": name, "metric": metric, "k": k, "value": value, "users": users}


def _head_codes(measured: Measured) -> Codes:
    """Return the code of each item: 0 head, 1 tail, -1 without a training user."""
    from models.evaluation.beyond_accuracy import head_items

    codes = np.where(head_items(measured.popularity), 0, 1)
    return np.where(measured.popularity > 0, codes, -1).astype(np.int64)


@cache
def _attributes(folder: Path | None, kind: str) -> tuple[str, ...]:
    """Return the names of a dataset's attributes of users or items."""
    if folder is None:
        return ()
    return tuple(sorted(pc.unique(read(folder, f"{kind}_attributes", ["name"])["name"]).to_pylist()))


@cache
def _values(folder: Path, kind: str, name: str) -> pa.Table:
    """Return the pairs of index and value of an attribute, with its most frequent values only."""
    table = read(folder, f"{kind}_attributes").filter(pc.field("name") == name)
    ids = read(folder, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"].combine_chunks()
    indices = pc.index_in(table["id"].cast(ids.type), ids)
    pairs = pa.table({"index": indices, "value": table["value"].cast(pa.string())}).drop_null()
    counts = pairs.group_by("value").aggregate([("index", "count")])
    order = [("index_count", "descending"), ("value", "ascending")]
    frequent = counts.sort_by(order).slice(0, MOST_VALUES)["value"].combine_chunks()
    return pairs.filter(pc.is_in(pairs["value"], frequent))


def _codes(folder: Path, kind: str, name: str) -> tuple[Codes, list[str]]:
    """Return the code of each user's or item's value, -1 for none, and the values by code.

    Of several values, the last in order counts.
    """
    pairs = _values(folder, kind, name)
    values = sorted(pc.unique(pairs["value"]).to_pylist())
    codes = np.full(read(folder, f"{kind}s", [f"{kind}_id"]).num_rows, -1, dtype=np.int64)
    positions = pc.index_in(pairs["value"], pa.array(values, pa.string())).to_numpy()
    codes[pairs["index"].to_numpy()] = positions
    return codes, values


def _codes_by_value(folder: Path, name: str) -> Iterator[tuple[str, Codes]]:
    """Yield each value of an item attribute, with code 0 for items that have it, -1 for others."""
    pairs = _values(folder, "item", name)
    for value in sorted(pc.unique(pairs["value"]).to_pylist()):
        codes = np.full(read(folder, "items", ["item_id"]).num_rows, -1, dtype=np.int64)
        codes[pairs.filter(pc.equal(pairs["value"], value))["index"].to_numpy()] = 0
        yield value, codes
