"""Parameters shared by several flows, typed so that the Prefect UI's form shows plain inputs.

A flow's docstring describes its parameters: Prefect reads descriptions only from there.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from tasks.configuration.configuration import Configuration
from tasks.runtime.clock import today
from tasks.runtime.errors import UserError

YESTERDAY = "yesterday"
ModelName = Literal[
    "als",
    "blend",
    "ease",
    "funk_svd",
    "gf_cf",
    "global_effects",
    "item_knn",
    "mult_vae",
    "popularity",
    "pure_svd",
    "random",
    "recent_popularity",
    "rp3beta",
    "slim",
    "sparse_ease",
    "svd_pp",
    "turbo_cf",
    "user_knn",
]
"""The built-in models that a form offers; a test compares them with the registry."""

AsOf = Annotated[str, Field(pattern=r"^(yesterday|\d{4}-\d{2}-\d{2})$")]
Models = tuple[ModelName, ...]
Overrides = tuple[str, ...]
"""Lines `key=value`: a dictionary would appear as a JSON box in the form."""
Reason = Annotated[str, Field(min_length=1)]


def yesterday(configuration: Configuration, at: datetime | None = None) -> date:
    """Return the last complete day in the time zone of the source, now or at another time."""
    return today(configuration.time_zone, at) - timedelta(days=1)


def day_of(as_of: str, configuration: Configuration, scheduled: datetime) -> date:
    """Return the date of the parameter `as_of`; UserError if it is not a date or `yesterday`.

    Yesterday is counted from the time for which the run was `scheduled`, with its offset: a run that
    starts late, or is retried after midnight, makes the date that it was meant for.
    """
    if as_of == YESTERDAY:
        return yesterday(configuration, scheduled)
    try:
        return date.fromisoformat(as_of)
    except ValueError:
        raise UserError(f"as_of: expected yesterday or a date such as 2026-11-20, got {as_of!r}") from None
