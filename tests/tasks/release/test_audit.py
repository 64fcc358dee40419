"""The audit of a staged release: each fault is found, by table, check and count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from worlds.release_world import World

from tasks.runtime.errors import UserError

Columns = dict[str, list[Any]]

REC, SIM, POP = "recommendations", "similar_items", "popular_items"


def put(column: str, row: int, value: Any) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[column][row] = value

    return change


def swap(row: int, other: int) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for values in columns.values():
            values[row], values[other] = values[other], values[row]

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
    (REC, put("item_id", 1, 102), "whose item stands in the list already: expected 0, got 1"),
    (REC, put("item_id", 1, 101), "whose item the user has already had: expected 0, got 1"),
    (REC, put("item_id", 1, 999), "unknown item in item_id: expected 0, got 1"),
    (REC, put("item_id", 1, 107), "unavailable item in item_id: expected 0, got 1"),
    (REC, put("score", 1, float("nan")), "score that is not finite: expected 0, got 1"),
    (REC, put("score", 0, float("inf")), "score that is not finite: expected 0, got 1"),
    (REC, put("score", 2, 0.75), "score above that of the rank before: expected 0, got 1"),
    (REC, put("rank", 2, 4), "rank that is not 1, 2, 3, ... of its list: expected 0, got 1"),
    (REC, put("rank", 0, 0), "rank that is not 1, 2, 3, ... of its list: expected 0, got 2"),
    (REC, swap(0, 1), "rank that is not 1, 2, 3, ... of its list: expected 0, got 3"),
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
    (SIM, put("similar_item_id", 1, 101), "whose item stands in the list already: expected 0, got 1"),
    (SIM, put("similar_item_id", 1, 107), "unavailable item in similar_item_id: expected 0, got 1"),
    (SIM, put("item_id", 2, 999), "unknown item in item_id: expected 0, got 1"),
    (SIM, put("rank", 2, 2), "rank that is not 1, 2, 3, ... of its list: expected 0, got 1"),
    (SIM, put("score", 1, 0.75), "score above that of the rank before: expected 0, got 1"),
    (SIM, swap(0, 2), "not sorted by item_id: expected 0, got 1"),
    (POP, put("rank", 1, 3), "rank that is not 1, 2, 3, ... of its list: expected 0, got 1"),
    (POP, put("item_id", 1, 100), "whose item stands in the list already: expected 0, got 1"),
    (POP, put("item_id", 1, 999), "unknown item in item_id: expected 0, got 1"),
    (POP, swap(2, 3), "not sorted by (segment, segment_value, window_days): expected 0, got 1"),
    (POP, drop(0, 2), "rows for the segment 'all': expected True, got False"),
    ("model_metrics", put("value", 0, float("nan")), "figures that are not finite: expected 0, got 1"),
    ("model_metrics", put("model", 1, "als"), "rows with the key of another: expected 0, got 1"),
]


@pytest.mark.parametrize(
    ("name", "change", "message", "text"),
    [(*fault, False) for fault in FAULTS] + [(*fault, True) for fault in FAULTS[::4]],
)
def test_the_audit_catches(
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
    with pytest.raises(UserError, match="the release was refused by its audit"):
        outcome.require_passed()


def test_the_audit_knows_blocked_items_and_allowed_repeats(fresh: World) -> None:
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


def test_the_audit_knows_how_many_similar_items_every_item_must_have(fresh: World) -> None:
    folder = fresh.staging("2026-01-02", "r1")
    fresh.write(folder)
    failures = fresh.audit_folder(folder, similar=2).failures
    others = pq.read_metadata(fresh.dataset / "items.parquet").num_rows - 2  # 100 has two rows, 101 has one
    assert [(f.table, f.check, f.observed) for f in failures] == [
        (SIM, "known items without rows", str(others)),
        (SIM, "items with more or fewer than 2 rows", "1"),
    ]


def test_the_audit_refuses_missing_files_and_other_schemas(fresh: World) -> None:
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


def test_the_audit_counts_the_same_in_slices_and_under_odd_names(
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
        found = [(f.table, f.observed) for f in world.audit_folder(folder).failures]
        assert found == [(SIM, "1"), (REC, "2")]
