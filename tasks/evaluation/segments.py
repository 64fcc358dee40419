"""The figures of an evaluation by segment: new, light and heavy users, head and tail, any attribute."""

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
OWN: Final = ("activity", "popularity")
"""Segments that need no attribute: users by their items (new, light, heavy), items by their users."""
HEAD = ("head", "tail")  # the items with the most users that a fifth of the catalogue is, and the others
MOST_VALUES = 20  # of an attribute: those of the most users or items


class Segments:
    """The tables of some segments of an evaluation; UserError for a name that is not known."""

    def __init__(self, done: Evaluation, names: Collection[str]) -> None:
        self.done, self.names = done, list(dict.fromkeys(names))
        known = [*OWN, *(name for kind in ("user", "item") for name in _attributes(done.folder, kind))]
        for name in self.names:
            if name not in known:
                raise UserError(f"--segments {name}: expected one of {', '.join(known)}, got {name!r}")

    def rows(self) -> Iterator[Row]:
        """Yield model, part, segment, value of it, metric, k, value and the number of measured users."""
        for model, runs in self.done.measured.items():
            for part, one in zip(self.done.parts, runs, strict=True):
                common = {"model": model, "part": part}
                for segment in self.names:
                    yield from ({**common, "segment": segment, **row} for row in self._table(segment, one))

    def _table(self, segment: str, one: Measured) -> Iterator[Row]:
        from models.activity import ACTIVITY, activity

        folder = self.done.folder
        if segment == "activity":
            yield from _by_user(one, activity(one.history), ACTIVITY)
        elif segment == "popularity":
            yield from _by_item(one, _head(one), HEAD)
        elif folder is not None and segment in _attributes(folder, "user"):
            codes, values = _codes(folder, "user", segment)
            yield from _by_user(one, codes[one.users], values)
        elif folder is not None:
            for value, having in _having(folder, segment):
                yield from _by_item(one, having, (value,))


def _by_user(one: Measured, codes: Codes, names: Collection[str]) -> Iterator[Row]:
    from models.evaluation.segments import by_user

    for figure in by_user(one.values, codes, list(names)):
        yield _row(figure.segment, figure.metric, figure.k, figure.value, figure.users)


def _by_item(one: Measured, codes: Codes, names: Collection[str]) -> Iterator[Row]:
    """Judge the lists against the relevant items of each segment; protocols without lists have none."""
    from models.evaluation.segments import by_item

    if one.items is None or one.relevant is None:
        return
    ks = sorted({k for _, k in one.values})
    for name, judged in by_item(one.items, one.relevant, ks, codes, list(names)).items():
        for (metric, k), values in judged.values().items():
            users = int(np.count_nonzero(~np.isnan(values)))
            yield _row(name, metric, k, float(np.nanmean(values)) if users else None, users)


def _row(name: str, metric: str, k: int, value: float | None, users: int) -> Row:
    return {"value_of": name, "metric": metric, "k": k, "value": value, "users": users}


def _head(one: Measured) -> Codes:
    """Return 0 for items of the head, 1 for those of the tail, -1 for those without a training user."""
    from models.evaluation.beyond_accuracy import head_items

    codes = np.where(head_items(one.popularity), 0, 1)
    return np.where(one.popularity > 0, codes, -1).astype(np.int64)


@cache
def _attributes(folder: Path | None, kind: str) -> tuple[str, ...]:
    """Return the names of the attributes of users or items that a dataset has."""
    if folder is None:
        return ()
    return tuple(sorted(pc.unique(read(folder, f"{kind}_attributes", ["name"])["name"]).to_pylist()))


@cache
def _values(folder: Path, kind: str, name: str) -> pa.Table:
    """Return index and value of everybody who has the attribute, and only its most frequent values."""
    table = read(folder, f"{kind}_attributes").filter(pc.field("name") == name)
    ids = read(folder, f"{kind}s", [f"{kind}_id"])[f"{kind}_id"].combine_chunks()
    place = pc.index_in(table["id"].cast(ids.type), ids)
    found = pa.table({"index": place, "value": table["value"].cast(pa.string())}).drop_null()
    counts = found.group_by("value").aggregate([("index", "count")])
    order = [("index_count", "descending"), ("value", "ascending")]
    kept = counts.sort_by(order).slice(0, MOST_VALUES)["value"].combine_chunks()
    return found.filter(pc.is_in(found["value"], kept))


def _codes(folder: Path, kind: str, name: str) -> tuple[Codes, list[str]]:
    """Return the code of everybody's value, -1 for none, and the values; of several the last in order."""
    found = _values(folder, kind, name)
    values = sorted(pc.unique(found["value"]).to_pylist())
    codes = np.full(read(folder, f"{kind}s", [f"{kind}_id"]).num_rows, -1, dtype=np.int64)
    places = pc.index_in(found["value"], pa.array(values, pa.string())).to_numpy()
    codes[found["index"].to_numpy()] = places
    return codes, values


def _having(folder: Path, name: str) -> Iterator[tuple[str, Codes]]:
    """Yield each value of an attribute of items with the code 0 for the items that have it, others -1."""
    found = _values(folder, "item", name)
    for value in sorted(pc.unique(found["value"]).to_pylist()):
        codes = np.full(read(folder, "items", ["item_id"]).num_rows, -1, dtype=np.int64)
        codes[found.filter(pc.equal(found["value"], value))["index"].to_numpy()] = 0
        yield value, codes
