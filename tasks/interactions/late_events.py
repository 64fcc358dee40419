"""Events that arrived after the release of their date, and the dates to run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.interactions.account import IngestedFile
from tasks.release.releases import Release, releases
from tasks.store.layout import Store
from tasks.store.run_folder import run_paths
from tasks.store.runs import last_night


class LateEvents(BaseModel):
    """Late events of an ingest, counted by day, and the dates to run again; both sorted.

    A date must run again if its release lacks such events or was made from a file that was
    replaced. It must also run again if it has no release because its run failed, and events for it
    arrived now.
    """

    model_config = ConfigDict(extra="forbid")

    days: dict[str, int] = {}
    dates: list[date] = []

    @property
    def commands(self) -> list[str]:
        """The commands that run the dates again: a command for each unbroken range."""
        return [
            f"nightshelf backfill --mode all --start {first} --end {last} --run"
            for first, last in _ranges(self.dates)
        ]

    def __str__(self) -> str:
        """Return a short summary, empty if no date must run again."""
        if not self.dates:
            return ""
        days = ", ".join(f"{day} ({events:,})" for day, events in self.days.items())
        cause = (
            f"{sum(self.days.values()):,} events arrived late, of {days}" if days else "Files were replaced"
        )
        return f"{cause}. Dates to run again: {', '.join(map(str, self.dates))}."


def late_events(
    store: Store, new: Sequence[IngestedFile], replaced: Sequence[IngestedFile], making: date | None
) -> LateEvents:
    """Return the late events of newly ingested files; `replaced` are the files they replace.

    `making` is the date whose release is about to be made from them, None for an ingest by itself.
    """
    arrived, removed = _days(new), _days(replaced)
    if not arrived and not removed:
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
    failed = [day for day in _failed(store, arrived) if date.fromisoformat(day) != making]
    dates.update(date.fromisoformat(day) for day in failed)
    days |= {day: arrived[day] for day in failed}
    return LateEvents(days=dict(sorted(days.items())), dates=sorted(dates))


def _days(files: Iterable[IngestedFile]) -> Counter[str]:
    """Return the accepted events of files, counted by day."""
    events: Counter[str] = Counter()
    for file in files:
        events.update(file.days)
    return events


def _latest(store: Store, making: date | None) -> list[Release]:
    """Return the latest readable release of each date, except of the date being made."""
    latest: dict[date, Release] = {}
    for release in releases(store):
        if not release.problem and release.as_of != making:
            latest.setdefault(release.as_of, release)
    return list(latest.values())


def _inputs(release: Release) -> set[int]:
    """Return the ids of the files that a release was made from."""
    inputs: list[dict[str, Any]] = release.manifest()["inputs"]
    return {int(file["file_id"]) for file in inputs}


def _failed(store: Store, days: Iterable[str]) -> list[str]:
    """Return those of ``days`` that have no release because their last run did not finish."""
    released = {str(release.as_of) for release in releases(store)}
    ran = {folder.parent.name for folder in run_paths(store)} - released
    last = {day: last_night(store, date.fromisoformat(day)) for day in days if day in ran}
    return [
        day for day, night in last.items() if night is not None and night.state in {"failed", "interrupted"}
    ]


def _ranges(dates: Sequence[date]) -> list[tuple[date, date]]:
    """Return the first and last day of each unbroken range of `dates`, which are sorted."""
    ranges: list[tuple[date, date]] = []
    for day in dates:
        if ranges and ranges[-1][1] == day - timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
