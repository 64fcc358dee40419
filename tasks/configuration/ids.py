"""The id types and the blocked items of a configuration."""

from __future__ import annotations

import pyarrow as pa

from tasks.configuration.configuration import Configuration
from tasks.release.tables import IdTypes
from tasks.runtime.errors import InputError


def id_types(configuration: Configuration) -> IdTypes:
    """Return the Arrow types of the ids."""
    types = {"int64": pa.int64(), "string": pa.string()}
    return IdTypes(types[configuration.user_id_type], types[configuration.item_id_type])


def blocked(configuration: Configuration, id_type: pa.DataType) -> pa.Array:
    """Return the ids of blocked items in the type of the logs; InputError if they do not fit it."""
    items = configuration.top_n.blocked_items
    kind = int if id_type == pa.int64() else str
    try:
        return pa.array([kind(item) for item in items], id_type)
    except (ValueError, OverflowError) as error:
        raise InputError(f"top_n.blocked_items: expected ids of type {id_type}: {error}") from None
