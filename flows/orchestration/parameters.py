"""Parameters that several flows share, in types that the form of the Prefect UI shows as plain inputs.

A flow's docstring describes its parameters: Prefect takes descriptions from there alone.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from tasks.configuration.configuration import Configuration
from tasks.runtime.clock import today
from tasks.runtime.errors import UserError

YESTERDAY = "yesterday"
ModelName = Literal["als", "blend", "item_knn", "mult_vae", "popularity", "random", "recent_popularity"]
"""The models there are, as a form offers them; a test compares them with the registry."""

AsOf = Annotated[str, Field(pattern=r"^(yesterday|\d{4}-\d{2}-\d{2})$")]
Models = tuple[ModelName, ...]
Overrides = tuple[str, ...]
"""Lines `key=value`: a dictionary would be a box of JSON in the form."""
Reason = Annotated[str, Field(min_length=1)]


def yesterday(configuration: Configuration) -> date:
    """Return the last complete day in the time zone of the source."""
    return today(configuration.source.time_zone) - timedelta(days=1)


def day_of(as_of: str, configuration: Configuration) -> date:
    """Return the date that a parameter names; UserError if it names none."""
    if as_of == YESTERDAY:
        return yesterday(configuration)
    try:
        return date.fromisoformat(as_of)
    except ValueError:
        raise UserError(f"as_of: expected yesterday or a date such as 2026-11-20, got {as_of!r}") from None


def overrides_of(lines: tuple[str, ...]) -> dict[str, Any]:
    """Return the keys and values of lines `key=value`; a value is read as TOML, and else as text.

    Raises
    ------
    UserError
        If a line has no `=`, or nothing before it.
    """
    found: dict[str, Any] = {}
    for line in lines:
        key, equals, value = (part.strip() for part in line.partition("="))
        if not (key and equals):
            raise UserError(f"overrides: expected key=value, such as engine.name=spark, got {line!r}")
        try:
            found[key] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):  # also of a number too long, and of lists within lists
            found[key] = value
    return found


def lines_of(overrides: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines that `overrides_of` reads as these keys and values."""
    return tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in overrides.items())
