"""The settings of [source] that decided the rows of an ingest, and what changed since then."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from pydantic import ValidationError

from sql.source import Rule, Source

RowSettings = dict[str, Any]
NOT_ROWS: Final = {"name", "path", "max_expansion", "settle_seconds", "appended"}
"""Settings that decide no row: the name, where files are, how large they may be, when they are read."""
ONLY_OUTCOMES: Final = {"event_weights", "quarantine", "exclude", "min_date", "max_date", "file_date"}
"""Settings that decide whether a row is accepted, but not what it holds."""
TIMES: Final = (
    "timestamp_format", "time_zone", "null_values", "format", "delimiter", "quoting", "escape", "encoding",
    "skip_lines", "header", "column_names", "fill_down", "fill_down_within",
)  # fmt: skip
"""Settings that decide the day of a row, beside the column of the timestamp."""


@dataclass(frozen=True)
class Change:
    """What changed in [source] since an ingest: the keys for which its rows would now be others."""

    keys: tuple[str, ...]

    @property
    def in_brackets(self) -> str:
        """The keys in brackets, as a part of a sentence; empty if they are unknown."""
        return f" ({', '.join(self.keys)})" if self.keys else ""


def row_settings(source: Source) -> RowSettings:
    """Return the settings that decide which rows a store has and what they hold, as plain values.

    The weights of event types are not among them: only the dataset uses these. Default values are
    left out, so that a key which a later version adds changes nothing. The predicates of rules are
    hashed: they may name users.
    """
    settings = source.model_dump(mode="json", exclude=NOT_ROWS, exclude_defaults=True)
    if source.event_weights:
        settings["event_weights"] = sorted(source.event_weights)
    for kind, rules in (("quarantine", source.quarantine), ("exclude", source.exclude)):
        if rules:
            settings[kind] = [[rule.name, _hash(rule)] for rule in rules]
    return settings


def source_then(settings: RowSettings, now: Source) -> Source | None:
    """Return a source that reads the columns of rows as these settings did; None if none can."""
    content = {key: value for key, value in settings.items() if key not in ONLY_OUTCOMES}
    try:
        return Source.model_validate({**content, "path": now.path, "max_expansion": now.max_expansion})
    except ValidationError:  # of a version with other rules
        return None


def change_between(then: RowSettings, now: RowSettings, unknown_types: int) -> Change:
    """Return what changed, as far as stored rows would now be others.

    Attributes may be added or left out. Event types that are no longer listed are not used, and
    further ones change nothing unless rows were quarantined for their type (`unknown_types`).
    """
    flat_then, flat_now = _flat(then), _flat(now)
    keys = []
    for key in sorted({*flat_then, *flat_now}):
        if key == "event_weights":
            different = bool(unknown_types) and _widened(then, now)
        elif key.startswith("attributes."):
            different = key in flat_then and key in flat_now and flat_then[key] != flat_now[key]
        else:
            different = flat_then.get(key) != flat_now.get(key)
        if different:
            keys.append(key)
    return Change(tuple(keys))


def mapped_by(settings: RowSettings | None) -> set[str] | None:
    """Return the source's columns that these settings map; None if they are unknown."""
    if not settings:
        return None
    columns = (_listed(column) for column in settings["columns"].values())
    return {*chain(*columns), *settings.get("attributes", {}).values()}


def same_columns(then: RowSettings, now: RowSettings) -> bool:
    """Return whether rows of both settings hold the same: a row is then read alike by both."""
    return _without(then, ONLY_OUTCOMES) == _without(now, ONLY_OUTCOMES)


def same_days(then: RowSettings, now: RowSettings) -> bool:
    """Return whether a row has the same day by both settings."""
    columns = [settings["columns"]["timestamp"] for settings in (then, now)]
    return columns[0] == columns[1] and all(then.get(key) == now.get(key) for key in TIMES)


def unlisted_types(then: RowSettings, now: RowSettings) -> list[str] | None:
    """Return the event types that were accepted then and are no longer listed; None if any was."""
    if "event_weights" not in now:
        return []
    if "event_type" in then:  # of all its rows
        return sorted({then["event_type"]} - {*now["event_weights"]})
    if "event_weights" not in then:
        return None
    return sorted({*then["event_weights"]} - {*now["event_weights"]})


def _widened(then: RowSettings, now: RowSettings) -> bool:
    """Return whether event types are known now that were not known then."""
    if "event_weights" not in then:
        return False
    return "event_weights" not in now or not {*now["event_weights"]} <= {*then["event_weights"]}


def _flat(settings: RowSettings) -> dict[str, Any]:
    """Return the settings with the keys of the tables columns and attributes written with dots."""
    flat = _without(settings, {"columns", "attributes"})
    for table in ("columns", "attributes"):
        flat |= {f"{table}.{name}": column for name, column in settings.get(table, {}).items()}
    return flat


def _without(settings: RowSettings, keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in keys}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _hash(rule: Rule) -> str:
    return hashlib.sha256(rule.where.encode()).hexdigest()[:16]
