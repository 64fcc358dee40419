"""Parameters that several flows share, in types that the form of the Prefect UI shows as plain inputs.

A flow's docstring describes its parameters: Prefect takes descriptions from there alone.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

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
