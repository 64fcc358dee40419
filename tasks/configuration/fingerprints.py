"""Hashes of a configuration: of what affects a night, and of what decides the events of a source."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from pydantic import BaseModel

from sql.source import Columns, Source

KEYS_ALWAYS_HASHED: Final = frozenset(
    [
        *("format", "delimiter", "encoding", "header", "column_names", "null_values", "file_date", "columns"),
        *("attributes", "user_id_type", "item_id_type", "timestamp_format", "time_zone", "event_weights"),
        *("min_date", "max_date", "quarantine", "exclude"),
    ]
)
COLUMNS_ALWAYS_HASHED: Final = frozenset(
    ["user", "item", "timestamp", "event_type", "value", "weight", "session", "position"]
)
"""The keys of [source] and [source.columns] that the first fingerprints were made of."""
NOT_HASHED: Final = {"name", "path", "max_expansion", "settle_seconds", "appended"}


def fingerprint_of(facts: Any) -> str:
    """Return a short hash of plain values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def settings_of(source: Source) -> dict[str, Any]:
    """Return a source's settings that affect a night, as plain values; a name has no effect."""
    later = {"event_type"} if source.event_type is None else set()
    return source.model_dump(mode="json", exclude={"name", "max_expansion", *later})


def source_fingerprint(source: Source) -> str:
    """Return a hash of a source's settings that decide events and their strength; not name or path.

    A key that a later version adds counts only if it is set, and one whose default changed has the
    first one, so that an upgrade changes nothing.
    """
    facts = source.model_dump(mode="json", exclude=NOT_HASHED)
    facts = without_new_defaults(facts, Source, KEYS_ALWAYS_HASHED)
    if facts["delimiter"] is None:
        facts["delimiter"] = ","
    if source.null_values == Source.model_fields["null_values"].default:
        facts["null_values"] = [""]
    facts["columns"] = without_new_defaults(facts["columns"], Columns, COLUMNS_ALWAYS_HASHED)
    return fingerprint_of(facts)


def without_new_defaults(
    facts: dict[str, Any], section: type[BaseModel], always: frozenset[str]
) -> dict[str, Any]:
    """Return a section's values without those defaults whose keys are not `always` hashed."""
    defaults = {key: field.default for key, field in section.model_fields.items()}
    as_json = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    return {key: value for key, value in facts.items() if key in always or value != as_json[key]}
