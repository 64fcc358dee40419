"""Rows of a landing under their outcomes: accounted for by file and rule, dropped where they are stored."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sql.interactions.judged import Judged, judge
from sql.landing.landing import RawFile
from sql.source import Source

DAY = "2026-03-01"
T = f"{DAY} 10:00:00"
SOURCE: dict[str, Any] = {
    "path": "unused",
    "columns": {"user": "user", "item": "item", "timestamp": "time"},
    "exclude": [{"name": "test_item", "where": "item_id = 'test'"}],
}
LINES = (f"u1,i1,{T}", f"u1,i1,{T}", f",i2,{T}", f"u2,test,{T}", "u3,i3", f"u4,i4,{T}")
ACCOUNT = {
    ("accepted", None): 2,
    ("duplicate", None): 1,
    ("excluded", "test_item"): 1,
    ("quarantined", "user_missing"): 1,
    ("quarantined", "ragged_line"): 1,
}


@pytest.fixture
def judged(engine: Any, tmp_path: Path) -> Judged:
    """Return a file of six lines, each judged."""
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["user,item,time", *LINES]) + "\n", encoding="utf-8")
    source = Source.model_validate(SOURCE)
    landing = engine.land([RawFile(7, file, "a.csv")], source, ["user", "item", "time"])
    return judge(landing, source, engine, tmp_path / "judged", {7: date(2026, 3, 2)})


def test_every_line_is_in_the_account_under_its_outcome_and_rule(judged: Judged) -> None:
    rows = list(judged.account())
    assert {file_id for file_id, *_ in rows} == {7}
    assert {(outcome, rule): n for _, outcome, rule, n in rows} == ACCOUNT
    assert (judged.days(), list(judged.accepted()), judged.repeated) == ({7: {DAY: 2}}, [DAY], 1)


def test_rows_that_are_stored_become_duplicates(judged: Judged, tmp_path: Path) -> None:
    stored = tmp_path / "stored.parquet"
    (part,) = judged.accepted()[DAY].glob("*.parquet")
    with pq.ParquetFile(part) as file:
        pq.write_table(file.read().filter(pc.field("item_id") == "i1"), stored)
    judged.drop_stored({DAY: [stored]}, gone=[7])  # of a file that counts no longer
    assert judged.days() == {7: {DAY: 2}}
    judged.drop_stored({DAY: [stored]}, gone=[])
    assert judged.days() == {7: {DAY: 1}}
    account = {(outcome, rule): n for _, outcome, rule, n in judged.account()}
    assert (account["accepted", None], account["duplicate", None]) == (1, 2)


def test_refused_rows_and_lines_are_written_by_day_with_the_name_of_their_file(
    judged: Judged, tmp_path: Path
) -> None:
    folder = tmp_path / "quarantine"
    judged.quarantine(folder, {7: "the name"})
    rows = []
    for path in sorted(folder.rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            rows += file.read().to_pylist()
    assert sorted((row["file"], row["line"], row["rule"]) for row in rows) == [
        ("the name", 4, "user_missing"),
        ("the name", 6, "ragged_line"),
    ]
    assert {path.parent.name.partition("=")[0] for path in folder.rglob("*.parquet")} == {"event_date"}


def test_a_landing_without_rows_has_nothing_under_any_outcome(engine: Any, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("user,item,time\n", encoding="utf-8")
    source = Source.model_validate(SOURCE)
    landing = engine.land([RawFile(1, file, "empty.csv")], source, ["user", "item", "time"])
    judged = judge(landing, source, engine, tmp_path / "judged", {1: None})
    judged.drop_stored({DAY: []}, gone=[])
    judged.quarantine(tmp_path / "quarantine", {1: "empty.csv"})
    assert (list(judged.account()), judged.days(), judged.accepted(), judged.repeated) == ([], {}, {}, 0)
    assert not (tmp_path / "quarantine").exists()
