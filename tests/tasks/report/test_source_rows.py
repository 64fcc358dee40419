"""The account by source: a line for each of several sources, and none for one; files tables replaced."""

from __future__ import annotations

import json
from dataclasses import asdict

from worlds.report_world import the_run

from tasks.report.source_rows import replaced_files, source_rows
from tasks.sources.discovery import LeftOut
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


def test_only_files_that_tables_have_replaced_are_told_beside_the_rows() -> None:
    record = the_run()
    parts = [
        LeftOut("no longer part of the Delta table", 5, ("a", "b", "c")),
        LeftOut("no longer part of the Iceberg table", 1, ("d",), "source.orders"),
        LeftOut("of unknown format or compression", 1, ("e",)),
    ]
    facts = json.loads(json.dumps([asdict(part) for part in parts]))
    record.stations[0].facts["files_left_out"] = facts
    assert replaced_files(record) == [
        "5 no longer part of the Delta table (a, b, c, ...)",
        "1 no longer part of the Iceberg table (d)",
    ]
    assert replaced_files(RunRecord(run_id="r1", as_of=record.as_of, started_at=record.started_at)) == []
