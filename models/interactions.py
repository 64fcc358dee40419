"""Interactions of users with items, read from a frame of any kind: the input of models.

The weight of a pair is the same as in a night (docs/design.md): 1 + ln(1 + strength), where the
strength is the sum of the weights of its events, 1 each by default. Strengths are summed in integer
millionths, so the order of the rows does not matter.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.dataset import Dataset, Histories, Sequences
from models.errors import ModelError
from models.frames.ids import Ids
from models.frames.roles import columns_of, converted
from models.frames.source import Form, Kind, open_frame, to_frame
from models.splitting.split import to_sequences

Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
MILLIONTHS: Final = 1_000_000


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Events of users with items, one per row; ``Interactions.of(frame)`` creates them.

    ``user_ids`` and ``item_ids`` map indices to ids; ``users`` and ``items`` int64 (n_events,) are
    such indices. ``timestamps`` int64 (n_events,): microseconds since 1970-01-01 UTC; ``values``
    float64 (n_events,), such as ratings; ``weights`` float64 (n_events,): the strength of each
    event, 0 or more; ``positions`` int64 (n_events,): the order of a user's events with equal
    timestamps. All except the first four can be None. The arrays are read-only. ``kind`` is the
    kind of frame, for input and results alike.

    Raises
    ------
    ModelError
        When a length or an index differs from this description.

    Examples
    --------
    >>> import nightshelf as ns
    >>> data = ns.Interactions.of({"user": ["ann", "ben", "ann"], "item": [7, 7, 9]})
    >>> data
    Interactions(events=3, users=2, items=2, times=None)
    >>> data.user_ids.take(data.users).to_pylist()
    ['ann', 'ben', 'ann']
    """

    user_ids: Ids
    item_ids: Ids
    users: Longs
    items: Longs
    timestamps: Longs | None = None
    values: Doubles | None = None
    weights: Doubles | None = None
    positions: Longs | None = None
    kind: Kind = "arrow"

    def __post_init__(self) -> None:
        for name, array in self._arrays().items():
            if array.shape != self.users.shape:
                raise ModelError(f"expected {len(self.users)} {name}, one per event, got {array.shape}")
        for name, codes, ids in (("users", self.users, self.user_ids), ("items", self.items, self.item_ids)):
            if len(codes) and not 0 <= codes.min() <= codes.max() < len(ids):
                raise ModelError(f"expected {name} below {len(ids)}, got {codes.min()}..{codes.max()}")
        for name, array in self._arrays().items():
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @classmethod
    def of(
        cls,
        frame: Any,
        *,
        user: Hashable | None = None,
        item: Hashable | None = None,
        timestamp: Hashable | None = None,
        value: Hashable | None = None,
        weight: Hashable | None = None,
        position: Hashable | None = None,
        unit: str | None = None,
    ) -> Interactions:
        """Read a pandas or polars frame, an Arrow table or a mapping of arrays, one event per row.

        The arguments name columns. By default, the user is in ``user_id``, ``userId`` or ``user``;
        the item in ``item_id``, ``itemId``, ``movieId`` or ``item``; and the time, if any, in
        ``timestamp``, ``time``, ``datetime`` or ``date`` (``timestamp=False`` reads no times).
        Value, weight and position are only read if named.

        Ids are whole numbers or text of any type, or categories; results return them in that type.
        Times are timestamps of any unit, dates, ISO 8601 text, or whole numbers of ``unit`` (s, ms,
        us, ns) since 1970. Times without a zone are UTC. Repeated rows are repeated events.

        Raises
        ------
        ModelError
            When a column is missing or repeated, a row has no id or no time, or a value cannot be
            converted exactly. The message names the first such row.

        Examples
        --------
        >>> import nightshelf as ns
        >>> orders = {"customer": ["c1", "c2"], "sku": ["A7", "B1"], "day": ["2026-11-20", "2026-11-21"]}
        >>> ns.Interactions.of(orders, user="customer", item="sku", timestamp="day")
        Interactions(events=2, users=2, items=2, times='2026-11-20 to 2026-11-21')
        """
        source = open_frame(frame)
        names = {"user": user, "item": item, "timestamp": timestamp}
        names |= {"value": value, "weight": weight, "position": position}
        return cls(**converted(columns_of(source, names), unit), kind=source.kind)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        period = None
        if self.timestamps is not None and len(self):
            ends = np.array([self.timestamps.min(), self.timestamps.max()]).astype("datetime64[us]")
            period = " to ".join(str(end.astype("datetime64[D]")) for end in ends)
        users, items = self.shape
        return f"Interactions(events={len(self)}, users={users}, items={items}, times={period!r})"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and number of items."""
        return len(self.user_ids), len(self.item_ids)

    def select(self, rows: Bools) -> Interactions:
        """Return the selected events, bool (n_events,); users and items keep their indices."""
        parts: dict[str, Any] = {name: array[rows] for name, array in self._arrays().items()}
        return replace(self, **parts)

    def at_least(self, value: float) -> Interactions:
        """Return the events with a value of at least ``value``, and their users and items.

        Raises
        ------
        ModelError
            When there are no values, or no value is that large.

        Examples
        --------
        >>> import nightshelf as ns
        >>> ratings = {"user": [1, 1, 2], "item": [5, 6, 6], "stars": [2, 4, 5]}
        >>> ns.Interactions.of(ratings, value="stars").at_least(4)
        Interactions(events=2, users=2, items=1, times=None)
        """
        if self.values is None:
            raise ModelError("expected interactions with values, got none: name their column, value=...")
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise ModelError(f"expected a number, at_least(4), got {value!r:.100}")
        rows = self.values >= value
        if not rows.any():
            raise ModelError(f"expected a value of {value} or more, got none")
        part = self.select(rows)
        users, user_codes = np.unique(part.users, return_inverse=True)
        items, item_codes = np.unique(part.items, return_inverse=True)
        return replace(
            part,
            user_ids=self.user_ids.subset(users),
            item_ids=self.item_ids.subset(items),
            users=user_codes,
            items=item_codes,
        )

    def with_items(self, item_ids: Ids) -> Interactions:
        """Return the events with the items of a model, indexed like in the model.

        ModelError when one side has numbers as ids and the other text.
        """
        codes = item_ids.codes(self.item_ids, "item ids, as the model was trained on,")[self.items]
        known = codes >= 0
        return replace(self.select(known), items=codes[known], item_ids=item_ids)

    @property
    def seen(self) -> sparse.csr_array:
        """All pairs with an event, of any strength: csr float32 (n_users, n_items) of ones."""
        ones = np.ones(len(self), dtype=np.float32)
        matrix = sparse.coo_array((ones, (self.users, self.items)), shape=self.shape).tocsr()
        matrix.data[:] = 1
        return matrix

    @property
    def histories(self) -> Histories:
        """The histories of the users: the weights of their pairs, and their events in order."""
        return Histories(self._matrix(), self.sequences)

    @property
    def dataset(self) -> Dataset:
        """The training data of models: the weights of all pairs, and the events in order."""
        return Dataset(self._matrix(), self.sequences)

    @property
    def sequences(self) -> Sequences | None:
        """The events with strength, sorted by time, position and row; None without times."""
        part = self if self.weights is None else self.select(self.weights > 0)
        if part.timestamps is None:
            return None
        return to_sequences(part.users, part.items, part.timestamps, len(part.user_ids), part.positions)[0]

    def frame(self, table: Any, forms: dict[str, Form] | None = None) -> Any:
        """Return an Arrow table as a frame of the kind that these interactions were read from."""
        return to_frame(self.kind, table, forms or {})

    def _matrix(self) -> sparse.csr_array:
        """Return the weights of the pairs with strength, csr float32 (n_users, n_items)."""
        pairs, pair_of_event, counts = np.unique(
            self.users * len(self.item_ids) + self.items, return_inverse=True, return_counts=True
        )
        strengths = counts * MILLIONTHS
        if self.weights is not None:
            strengths = np.zeros(len(pairs), dtype=np.int64)
            np.add.at(strengths, pair_of_event, np.rint(self.weights * MILLIONTHS).astype(np.int64))
        kept = strengths > 0
        rows, columns = np.divmod(pairs[kept], len(self.item_ids))
        weights = np.round(1 + np.log1p(strengths[kept] / MILLIONTHS), 6).astype(np.float32)
        return sparse.coo_array((weights, (rows, columns)), shape=self.shape).tocsr()

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in named.items() if isinstance(array, np.ndarray)}


def checked_interactions(data: Any) -> Interactions:
    """Return the data; ModelError unless they are Interactions."""
    if not isinstance(data, Interactions):
        raise ModelError(f"expected Interactions (see Interactions.of), got {type(data).__name__}")
    return data
