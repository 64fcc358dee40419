"""The dates that have no release although they are past: nights that never ran, or failed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

from tasks.release.releases import releases
from tasks.store.layout import Store
from tasks.store.runs import read_records


def missing_dates(
    store: Store, last: date, keep: int, logged: Collection[date] | None = None
) -> tuple[date, ...]:
    """Return the dates up to `last` without a whole release, oldest first.

    They begin after the release that was published first: before it, no night was meant to run. More
    than the `keep` last dates are never missing, because older releases would be removed anyway; nor
    are dates whose release was published and removed since. If the days that have logs are known
    (`logged`), the others are not missing either: they cannot be made.
    """
    found = releases(store)
    whole = {release.as_of: release.sequence for release in found if not release.problem}
    if not whole:
        return ()
    removed = {run.as_of for run in read_records(store) if run.state == "published"}
    removed -= {release.as_of for release in found}
    first = max(min(whole, key=lambda as_of: whole[as_of]), last - timedelta(days=keep))
    days = (first + timedelta(days=number) for number in range(1, (last - first).days + 1))
    known = {*whole, *removed}
    return tuple(day for day in days if day not in known and (logged is None or day in logged))


def missing_text(dates: Collection[date]) -> str:
    """Return the dates as one line, empty if there are none."""
    if not dates:
        return ""
    count = f"{len(dates)} past dates have" if len(dates) > 1 else "1 past date has"
    return f"{count} no release: {', '.join(map(str, dates))}"
