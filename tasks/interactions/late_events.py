"""Events that arrived after the releases they belong to, and the dates to run again for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.interactions.account import TakenFile
from tasks.release.releases import Release, releases
from tasks.store.layout import Store
from tasks.store.runs import last_night


class LateEvents(BaseModel):
    """What an ingest took in too late: events by their day, and the dates to run again, both in order.

    A date is to be run again if its release lacks such events, or holds some of a file that was replaced;
    or if it has none, because its run failed, and events of it arrived now.
    """

    model_config = ConfigDict(extra="forbid")

    days: dict[str, int] = {}
    dates: list[date] = []

    @property
    def commands(self) -> list[str]:
        """The commands that run the dates again, one for each unbroken range."""
        return [
            f"nightshelf backfill --mode all --start {first} --end {last} --run"
            for first, last in _ranges(self.dates)
        ]

    def __str__(self) -> str:
        """Return one sentence; nothing where nothing is to be run again."""
        if not self.dates:
            return ""
        days = ", ".join(f"{day} ({events:,})" for day, events in self.days.items())
        came = (
            f"{sum(self.days.values()):,} events arrived late, of {days}" if days else "Files were replaced"
        )
        return f"{came}. Dates to run again: {', '.join(map(str, self.dates))}."


def late_events(
    store: Store, new: Sequence[TakenFile], replaced: Sequence[TakenFile], making: date | None
) -> LateEvents:
    """Return what of the files taken in now is late; `replaced` are those that count no longer.

    `making` is the date whose release is about to be made from them, None for an ingest alone.
    """
    arrived, gone = _days(new), _days(replaced)
    if not arrived and not gone:
        return LateEvents()
    days: dict[str, int] = {}
    dates: set[date] = set()
    for release in _latest(store, making):
        held = _inputs(release)
        lacking = _days(file for file in new if file.file_id not in held)
        wrong = _days(file for file in replaced if file.file_id in held)
        late = {day: n for day, n in lacking.items() if day <= str(release.as_of)}
        if late or any(day <= str(release.as_of) for day in wrong):
            days |= late
            dates.add(release.as_of)
    failed = [day for day in arrived if date.fromisoformat(day) != making and _has_failed(store, day)]
    dates.update(date.fromisoformat(day) for day in failed)
    days |= {day: arrived[day] for day in failed}
    return LateEvents(days=dict(sorted(days.items())), dates=sorted(dates))


def _days(files: Iterable[TakenFile]) -> Counter[str]:
    """Return the accepted events of files by day."""
    found: Counter[str] = Counter()
    for file in files:
        found.update(file.days)
    return found


def _latest(store: Store, making: date | None) -> list[Release]:
    """Return the last release of each date that can be read; not of the date that is being made."""
    found: dict[date, Release] = {}
    for release in releases(store):
        if not release.problem and release.as_of != making:
            found.setdefault(release.as_of, release)
    return list(found.values())


def _inputs(release: Release) -> set[int]:
    """Return the ids of the files that a release was made from."""
    inputs: list[dict[str, Any]] = release.manifest()["inputs"]
    return {int(file["file_id"]) for file in inputs}


def _has_failed(store: Store, day: str) -> bool:
    """Tell whether a date has no release because its last run did not get to its end."""
    as_of = date.fromisoformat(day)
    if any(release.as_of == as_of for release in releases(store)):
        return False
    last = last_night(store, as_of)
    return last is not None and last.state in {"failed", "interrupted"}


def _ranges(dates: Sequence[date]) -> list[tuple[date, date]]:
    """Return first and last of each run of days without a gap; `dates` ascend."""
    found: list[tuple[date, date]] = []
    for day in dates:
        if found and found[-1][1] == day - timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
