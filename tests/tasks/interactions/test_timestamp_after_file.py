"""Events dated after the day of the file that holds them: clocks that are wrong by decades."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from worlds.log_world import Logs

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.interactions.source_files import SourceFile, last_day


@pytest.mark.parametrize(
    ("pattern", "day", "expected"),
    [
        ("%Y-%m-%d", date(2026, 2, 28), date(2026, 2, 28)),
        ("%Y%j", date(2026, 12, 31), date(2026, 12, 31)),
        ("%Y-%m", date(2026, 2, 1), date(2026, 2, 28)),
        ("%Y-%m", date(2028, 12, 1), date(2028, 12, 31)),
        ("%Y", date(2026, 1, 1), date(2026, 12, 31)),
        (None, None, None),
    ],
)
def test_a_file_is_about_the_period_in_its_name(
    pattern: str | None, day: date | None, expected: date | None
) -> None:
    assert last_day(SourceFile("logs/x.csv", 1, "", day), pattern) == expected


@pytest.mark.parametrize(("zone", "accepted"), [("UTC", 3), ("Pacific/Kiritimati", 2)])
def test_later_events_are_quarantined_in_the_zone_of_the_source(
    tmp_path: Path, zone: str, accepted: int
) -> None:
    engine = DuckDBEngine(tmp_path / "engine", 2**28, 1)
    logs = Logs(tmp_path / "shop", engine, file_date="%Y-%m-%d", time_zone=zone)
    days = ("2026-01-05T08:00:00Z", "2025-12-31T08:00:00Z", "2026-01-06T23:59:59Z", "2081-01-05T08:00:00Z")
    logs.write("events-2026-01-05.csv", *(f"u{n},i1,{day}" for n, day in enumerate(days)))
    done = logs.ingest()
    engine.close()
    assert done.counts.accepted == accepted
    assert done.counts.rules == {"timestamp_after_file": 4 - accepted}
    assert [path.parent.name for path in logs.store.quarantine.rglob("*.parquet")] == ["event_date=unknown"]


def test_without_file_date_nobody_knows(tmp_path: Path) -> None:
    engine = DuckDBEngine(tmp_path / "engine", 2**28, 1)
    logs = Logs(tmp_path / "shop", engine)
    logs.write("events-2026-01-05.csv", "u1,i1,2081-01-05T08:00:00Z")
    assert logs.ingest().counts.accepted == 1
    engine.close()
