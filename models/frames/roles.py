"""The roles of a frame's columns (user, item, time...), and their conversion to arrays."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

from models.errors import ModelError
from models.frames.columns import UNITS, numbers, strengths, times, whole_numbers
from models.frames.ids import encode_ids
from models.frames.source import Column, Source

NAMES: Final = {
    "user": ("user_id", "userId", "user"),
    "item": ("item_id", "itemId", "movieId", "item"),
    "timestamp": ("timestamp", "time", "datetime", "date"),
}


def columns_of(source: Source, names: Mapping[str, Hashable | None]) -> dict[str, Column]:
    """Return the columns by role: those named, or those with a usual name; all equally long.

    ``names`` is by role. None looks for a usual name; False for the timestamp reads no times.

    Raises
    ------
    ModelError
        When a column is missing or of another length, user and item are the same column, or there
        are no rows.
    """
    columns = {}
    for role, name in names.items():
        chosen = _chosen(source, role, name)
        if chosen is not None:
            columns[role] = source.column(chosen)
        elif role in ("user", "item"):
            usual = ", ".join(NAMES[role])
            hint = source.hint(*NAMES[role])
            raise ModelError(
                f"expected a column {usual}, or {role}= its name, got {source.describe_columns()}{hint}"
            )
    users = columns["user"]
    if users.name == columns["item"].name:
        raise ModelError(f"expected different columns for user and item, got {users.name!r} for both")
    if not len(users):
        raise ModelError("expected at least one event, got none")
    for column in columns.values():
        if len(column) != len(users):
            raise ModelError(
                f"expected {len(users)} rows in {column.name!r}, as in {users.name!r}, got {len(column)}"
            )
    return columns


def converted(columns: Mapping[str, Column], unit: str | None) -> dict[str, Any]:
    """Return the arrays of interactions by name; ``unit`` is the unit of times given as numbers.

    Raises
    ------
    ModelError
        When a value cannot be converted exactly, the unit is unknown, or there are positions
        without times.
    """
    if unit is not None and unit not in UNITS:
        raise ModelError(f"expected unit= one of {', '.join(UNITS)}, got {unit!r:.100}")
    user_ids, users = encode_ids(columns["user"])
    item_ids, items = encode_ids(columns["item"])
    arrays: dict[str, Any] = {"user_ids": user_ids, "item_ids": item_ids, "users": users, "items": items}
    if "timestamp" in columns:
        try:
            arrays["timestamps"] = times(columns["timestamp"], unit)
        except ModelError as error:
            raise ModelError(f"{error}; timestamp=False reads no times") from error
    elif "position" in columns:
        raise ModelError(
            f"expected times beside the positions in {columns['position'].name!r}, which order the events of "
            "one moment, got no column of times"
        )
    if "value" in columns:
        arrays["values"] = numbers(columns["value"])
    if "weight" in columns:
        arrays["weights"] = strengths(columns["weight"])
    if "position" in columns:
        arrays["positions"] = whole_numbers(columns["position"])
    return arrays


def _chosen(source: Source, role: str, name: Any) -> Hashable | None:
    """Return the name of the column for a role, None without one."""
    if role == "timestamp" and name is False:
        return None
    if name is None:
        return source.first(NAMES.get(role, ()))
    wrong = isinstance(name, bool) or hasattr(name, "__arrow_c_stream__")
    if wrong or not isinstance(name, Hashable) or _is_unhashable(name):
        raise ModelError(f"expected the name of a column as {role}=, got a {type(name).__name__}")
    return name


def _is_unhashable(name: Any) -> bool:
    """Tell whether hashing a value fails although its class has a method (pandas, tuples)."""
    try:
        hash(name)
    except TypeError:
        return True
    return False
