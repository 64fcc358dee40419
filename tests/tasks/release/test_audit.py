"""The audit of a staged release reports each fault by table, check and count."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from worlds.release_world import World

from tasks.runtime.errors import UserError

Columns = dict[str, list[Any]]

REC, SIM, POP = "recommendations", "similar_items", "popular_items"
SCORES = "release_scores"


def put(column: str, row: int, value: Any) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[column][row] = value

    return change


def swap(first: int, second: int) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for values in columns.values():
            values[first], values[second] = values[second], values[first]

    return change


def drop(first: int, last: int) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for values in columns.values():
            del values[first:last]

    return change


def add(**row: Any) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for column, values in columns.items():
            values.append(row.get(column, values[-1]))

    return change


FAULTS = [
    (REC, put("item_id", 1, 102), "that repeat an item of their list: expected 0, got 1"),
    (REC, put("item_id", 1, 101), "with an item that the user had before: expected 0, got 1"),
    (REC, put("item_id", 1, 999), "unknown item in item_id: expected 0, got 1"),
    (REC, put("item_id", 1, 107), "unavailable item in item_id: expected 0, got 1"),
    (REC, put("score", 1, float("nan")), "score that is not finite: expected 0, got 1"),
    (REC, put("score", 0, float("inf")), "score that is not finite: expected 0, got 1"),
    (REC, put("score", 2, 0.75), "with a higher score than the rank before: expected 0, got 1"),
    (REC, put("rank", 2, 4), "whose ranks do not count 1, 2, 3, ... within the list: expected 0, got 1"),
    (REC, put("rank", 0, 0), "whose ranks do not count 1, 2, 3, ... within the list: expected 0, got 2"),
    (REC, swap(0, 1), "whose ranks do not count 1, 2, 3, ... within the list: expected 0, got 3"),
    (REC, swap(2, 3), "not sorted by user_id: expected 0, got 1"),
    (REC, drop(3, 6), "known users without rows: expected 0, got 1"),
    (REC, drop(9, 12), "known users without rows: expected 0, got 1"),
    (REC, drop(2, 3), "users with more or fewer than 3 rows: expected 0, got 1"),
    (REC, add(rank=4, item_id=104), "users with more or fewer than 3 rows: expected 0, got 1"),
    (REC, add(user_id=50, rank=1), "users who are not in the dataset: expected 0, got 1"),
    (REC, put("reason_item_id", 0, 105), "reason is not in the user's history: expected 0, got 1"),
    (REC, put("reason_item_id", 0, 999), "unknown item in reason_item_id: expected 0, got 1"),
    (REC, drop(0, 12), "known users without rows: expected 0, got 4"),
    (SIM, put("similar_item_id", 0, 100), "that list the item itself: expected 0, got 1"),
    (SIM, put("similar_item_id", 1, 101), "that repeat an item of their list: expected 0, got 1"),
    (SIM, put("similar_item_id", 1, 107), "unavailable item in similar_item_id: expected 0, got 1"),
    (SIM, put("item_id", 2, 999), "unknown item in item_id: expected 0, got 1"),
    (SIM, put("rank", 2, 2), "whose ranks do not count 1, 2, 3, ... within the list: expected 0, got 1"),
    (SIM, put("score", 1, 0.75), "with a higher score than the rank before: expected 0, got 1"),
    (SIM, swap(0, 2), "not sorted by item_id: expected 0, got 1"),
    (POP, put("rank", 1, 3), "whose ranks do not count 1, 2, 3, ... within the list: expected 0, got 1"),
    (POP, put("item_id", 1, 100), "that repeat an item of their list: expected 0, got 1"),
    (POP, put("item_id", 1, 999), "unknown item in item_id: expected 0, got 1"),
    (POP, swap(2, 3), "not sorted by (segment, segment_value, window_days): expected 0, got 1"),
    (POP, drop(0, 2), "rows for the segment 'all': expected True, got False"),
    ("model_metrics", put("value", 0, float("nan")), "figures that are not finite: expected 0, got 1"),
    ("model_metrics", put("model", 1, "als"), "rows whose key is not unique: expected 0, got 1"),
    (SCORES, put("hits", 0, 6), "with a part that is larger than its whole: expected 0, got 1"),
    (SCORES, put("users_hit", 1, 3), "with a part that is larger than its whole: expected 0, got 1"),
    (SCORES, put("events_found", 1, 8), "with a part that is larger than its whole: expected 0, got 1"),
    (
        SCORES,
        put("first_date", 0, dt.date(2025, 12, 31)),
        "do not follow the judged release: expected 0, got 1",
    ),
    (SCORES, put("ndcg", 0, 0.6), "no share, or is outside its interval: expected 0, got 1"),
    (SCORES, put("recall", 1, float("nan")), "no share, or is outside its interval: expected 0, got 1"),
    (SCORES, add(), "rows whose key is not unique: expected 0, got 1"),
]


@pytest.mark.parametrize(
    ("name", "change", "message", "text"),
    [(*fault, False) for fault in FAULTS] + [(*fault, True) for fault in FAULTS[::4]],
)
def test_the_audit_reports_each_fault(
    tmp_path: Path, name: str, change: Callable[[Columns], None], message: str, text: bool
) -> None:
    world = World(tmp_path, text=text)
    change(world.tables[name])
    folder = world.staging("2026-01-02", "r1")
    world.write(folder)
    outcome = world.audit_folder(folder)
    assert any(
        str(failure).startswith(f"{name}: ") and message in str(failure) for failure in outcome.failures
    )
    with pytest.raises(UserError, match="the audit refused the release"):
        outcome.require_passed()


def test_the_audit_applies_blocked_items_and_allowed_repeats(fresh: World) -> None:
    fresh.tables[REC]["item_id"][1] = 101
    folder = fresh.staging("2026-01-02", "r1")
    fresh.write(folder)
    assert fresh.audit_folder(folder, repeats=True).failures == ()
    failures = fresh.audit_folder(folder, repeats=True, blocked=[101]).failures
    assert [(f.table, f.check, f.observed) for f in failures] == [
        (REC, "rows with a blocked item in item_id", "3"),
        (SIM, "rows with a blocked item in similar_item_id", "1"),
        (POP, "rows with a blocked item in item_id", "2"),
    ]


def test_the_audit_checks_the_number_of_similar_items_of_every_item(fresh: World) -> None:
    folder = fresh.staging("2026-01-02", "r1")
    fresh.write(folder)
    failures = fresh.audit_folder(folder, similar=2).failures
    missing = pq.read_metadata(fresh.dataset / "items.parquet").num_rows - 2  # 100 has two rows, 101 has one
    assert [(f.table, f.check, f.observed) for f in failures] == [
        (SIM, "known items without rows", str(missing)),
        (SIM, "items with more or fewer than 2 rows", "1"),
    ]


def test_the_audit_reports_missing_files_and_wrong_schemas(fresh: World) -> None:
    folder = fresh.staging("2026-01-02", "r1")
    fresh.write(folder)
    (folder / "model_metrics.parquet").unlink()
    (folder / "popular_items.parquet").write_bytes(b"PAR1")
    path = folder / "similar_items.parquet"
    pq.write_table(pq.read_table(path).rename_columns(["item_id", "rank", "other", "score", "source"]), path)
    failures = {failure.table: failure for failure in fresh.audit_folder(folder).failures}
    assert failures["model_metrics"].observed == "no file"
    assert failures["popular_items"].observed.startswith("unreadable: ")
    assert "other int64" in failures["similar_items"].observed
    assert "similar_item_id int64 not null" in failures["similar_items"].expected
    assert REC not in failures


def test_the_audit_counts_are_the_same_in_slices_and_odd_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.release.audit._SLICE_ROWS", 2)
    odd = tmp_path / "it's [a] *$ {b}"
    odd.mkdir()
    for text in (False, True):
        world = World(odd, text=text)
        world.tables[REC]["item_id"][1] = 102
        world.tables[REC]["item_id"][11] = 101
        world.tables[SIM]["similar_item_id"][2] = 101
        folder = world.staging("2026-01-02", f"r{text}")
        world.write(folder)
        failures = [(f.table, f.observed) for f in world.audit_folder(folder).failures]
        assert failures == [(SIM, "1"), (REC, "2")]
