"""The account by source: a line for each of several sources, and none for one."""

from __future__ import annotations

from worlds.report_world import the_run

from tasks.report.source_rows import source_rows
from tasks.store.runs import RunRecord


def test_each_of_several_sources_has_a_line() -> None:
    clicks, orders = source_rows(the_run())
    assert (clicks["source"], clicks["read"], clicks["accepted"] > 0) == ("clicks", 1000, True)
    assert orders == {
        "source": "orders", "read": 10, "accepted": 0, "excluded": 0, "quarantined": 0, "duplicates": 0,
    }  # fmt: skip


def test_a_run_of_one_source_or_without_an_ingest_has_no_lines() -> None:
    single = the_run()
    single.stations[0].facts["sources_total"] = {}
    assert source_rows(single) == []
    assert source_rows(RunRecord(run_id="r1", as_of=single.as_of, started_at=single.started_at)) == []
