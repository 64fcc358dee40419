"""How fast a run's items change, from its record: sentences, and a table of the last day and week."""

from __future__ import annotations

from typing import Any, Final

from tasks.dataset.freshness import Freshness, duration
from tasks.store.runs import RunRecord

RECENT: Final = "recent_popularity"
Row = dict[str, Any]


def freshness_of(record: RunRecord) -> Freshness | None:
    """Return how fast the items change; None if the run did not measure it, as older ones."""
    facts = record.station("dataset").facts if record.finished("dataset") else {}
    return Freshness.model_validate(facts["freshness"]) if "freshness" in facts else None


def sentences(record: RunRecord) -> list[str]:
    """Return sentences on the age of the items, and on the half-life of recent popularity if known."""
    freshness = freshness_of(record)
    if freshness is None:
        return []
    lives = [
        station.facts["half_life_days"]
        for station in record.stations
        if station.model == RECENT and station.facts.get("half_life_days")
    ]
    half_life = [f"For {RECENT}, an item's user counts half after {duration(1440 * life)}." for life in lives]
    return [str(freshness), *half_life[-1:]]


def turnover_rows(record: RunRecord) -> list[Row]:
    """Return a row for the last day and for the last 7 days, if the log goes back far enough."""
    freshness = freshness_of(record)
    return [
        {
            "window": "last day" if row.days == 1 else f"last {row.days} days",
            "events": row.events,
            "on items new in it": f"{row.new_events / row.events:.0%}",
            "top items": row.top,
            "top before, too": f"{row.kept / row.top:.0%}",
        }
        for row in (freshness.turnover if freshness else ())
    ]
