"""What a scheduled night does about dates that were missed: [schedule] catch_up."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

from tasks.release.missing import missing_dates
from tasks.release.releases import release_of
from tasks.runtime.clock import today
from tasks.runtime.errors import UserError
from tasks.sources.discovery import discover
from tasks.store.layout import Store

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration
    from tasks.configuration.part import SourcesAndStore


def why_not(configuration: Configuration, day: date) -> str | None:
    """Return why a late scheduled night need not make its date; None if it is to make it.

    A night is late if its date is no longer yesterday. A late night ends as a success if its date has
    a release by now, or if only the last date is to be made.
    """
    yesterday = today(configuration.time_zone) - timedelta(days=1)
    if day >= yesterday:
        return None
    if release := release_of(Store(configuration.store.path), day):
        return f"{day} needs no run: it was published meanwhile as {release.release_id}"
    if configuration.schedule.catch_up == "last":
        return (
            f'{day} is not made: it is past, {yesterday} is the last date, and [schedule] catch_up is "last"'
        )
    return None


def dates_before(configuration: Configuration, day: date) -> tuple[date, ...]:
    """Return the missed dates that a scheduled night makes before its own, oldest first."""
    if configuration.schedule.catch_up != "all":
        return ()
    return missed(configuration, day - timedelta(days=1))


def missed(configuration: Configuration | SourcesAndStore, last: date | None = None) -> tuple[date, ...]:
    """Return the dates without a release up to `last`, or yesterday, that have logs as far as is known.

    The dates that have logs are known if they are in the files' names ([source] file_date); of several
    sources, those with such names tell.
    """
    section, yesterday = configuration.store, today(configuration.time_zone) - timedelta(days=1)
    logged: set[date] = set()
    for source in configuration.sources:
        if source.file_date is not None:
            with suppress(UserError):  # reported elsewhere, by doctor and by the night
                logged |= {file.day for file in discover(source, yesterday).files if file.day is not None}
    return missing_dates(Store(section.path), last or yesterday, section.keep_releases, logged or None)
