"""Rows of a landing by outcome: counted by file and rule, and duplicates of stored rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sql.interactions.classification import ClassifiedRows, classify_rows
from sql.interactions.raw_rows import wanted_columns
from sql.interactions.redelivery import drop_stored
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
def classified(engine: Any, tmp_path: Path) -> ClassifiedRows:
    """Return the classified rows of a file with six lines."""
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["user,item,time", *LINES]) + "\n", encoding="utf-8")
    source = Source.model_validate(SOURCE)
    landing = engine.land([RawFile(7, file, "a.csv")], source, wanted_columns(source))
    return classify_rows(landing, source, engine, tmp_path / "classified", {7: date(2026, 3, 2)})


def test_every_line_is_counted_under_its_outcome_and_rule(classified: ClassifiedRows) -> None:
    rows = list(classified.account(classified.days()))
    assert {file_id for file_id, *_ in rows} == {7}
    assert {(outcome, rule): n for _, outcome, rule, n in rows} == ACCOUNT
    assert (classified.days(), list(classified.accepted()), classified.repeated) == ({7: {DAY: 2}}, [DAY], 1)


def test_rows_that_are_already_stored_become_duplicates(classified: ClassifiedRows, tmp_path: Path) -> None:
    stored = tmp_path / "stored.parquet"
    (part,) = classified.accepted()[DAY].glob("*.parquet")
    with pq.ParquetFile(part) as file:
        pq.write_table(file.read().filter(pc.field("item_id") == "i1"), stored)
    drop_stored(classified, {DAY: [stored]}, replaced=[7])  # they are from a replaced file
    assert classified.days() == {7: {DAY: 2}}
    drop_stored(classified, {DAY: [stored]}, replaced=[])
    assert classified.days() == {7: {DAY: 1}}
    account = {(outcome, rule): n for _, outcome, rule, n in classified.account(classified.days())}
    assert (account["accepted", None], account["duplicate", None]) == (1, 2)


def test_quarantined_rows_and_lines_are_written_by_day_with_the_name_of_their_file(
    classified: ClassifiedRows, tmp_path: Path
) -> None:
    folder = tmp_path / "quarantine"
    classified.write_quarantine(folder, {7: "the name"})
    rows = []
    for path in sorted(folder.rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            rows += file.read().to_pylist()
    assert sorted((row["file"], row["line"], row["rule"]) for row in rows) == [
        ("the name", 4, "user_missing"),
        ("the name", 6, "ragged_line"),
    ]
    assert {path.parent.name.partition("=")[0] for path in folder.rglob("*.parquet")} == {"event_date"}


def test_a_landing_without_rows_has_no_rows_of_any_outcome(engine: Any, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("user,item,time\n", encoding="utf-8")
    source = Source.model_validate(SOURCE)
    landing = engine.land([RawFile(1, file, "empty.csv")], source, wanted_columns(source))
    classified = classify_rows(landing, source, engine, tmp_path / "classified", {1: None})
    drop_stored(classified, {DAY: []}, replaced=[])
    classified.write_quarantine(tmp_path / "quarantine", {1: "empty.csv"})
    assert (
        list(classified.account(classified.days())),
        classified.days(),
        classified.accepted(),
        classified.repeated,
    ) == (
        [],
        {},
        {},
        0,
    )
    assert not (tmp_path / "quarantine").exists()
