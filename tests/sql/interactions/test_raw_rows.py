"""Events of one line: elements of lists and values with separators, through a whole ingest."""

from __future__ import annotations

import json

import pytest
from worlds.log_world import Logs

T = "2026-03-01 10:00:00"


def nested_logs(folder, engine) -> Logs:
    """Return logs of three lines: two items, no item, and one item twice beside one without an id."""
    columns = {"user": "user.id", "item": "items[].id", "timestamp": "time", "value": "items[].price"}
    logs = Logs(folder, engine, columns=columns)
    lines = [
        {"user": {"id": "u1"}, "time": T, "items": [{"id": "a", "price": 1}, {"id": "b", "price": 2}]},
        {"user": {"id": "u2"}, "time": T, "items": []},
        {"user": {"id": "u3"}, "time": T, "items": [{"id": "a"}, {"id": "a"}, {"price": 3}]},
    ]
    (logs.folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return logs


def test_each_element_of_a_list_is_an_event_with_its_outcome(tmp_path, engine):
    logs = nested_logs(tmp_path, engine)
    (file,) = logs.ingest().files
    counts = file.counts
    assert counts.rules == {"no_elements": 1, "item_missing": 1}
    assert (counts.read, counts.accepted, counts.excluded, counts.quarantined) == (6, 4, 1, 1)
    assert sorted(logs.rows("user_id, item_id, value")) == [
        ("u1", "a", 1.0), ("u1", "b", 2.0), ("u3", "a", None), ("u3", "a", None),
    ]  # fmt: skip


def test_elements_that_are_delivered_again_are_duplicates_one_by_one(tmp_path, duckdb_engine):
    logs = nested_logs(tmp_path, duckdb_engine)
    logs.ingest()
    lines = (logs.folder / "a.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    changed = lines[0].replace('"b"', '"c"')
    (logs.folder / "b.jsonl").write_text("".join([changed, *lines[1:]]), encoding="utf-8")
    (file,) = logs.ingest().files
    assert (file.counts.accepted, file.counts.duplicates) == (1, 3)
    assert logs.rows("item_id, user_id").count(("c", "u1")) == 1


def test_several_items_in_one_value_are_events(tmp_path, duckdb_engine):
    logs = Logs(tmp_path, duckdb_engine, item_separator="|")
    logs.write("a.csv", f"u1,a|b,{T}", f"u2,a,{T}", f"u1,a|b,{T}")
    (file,) = logs.ingest().files
    assert (file.counts.read, file.counts.accepted, file.counts.duplicates) == (5, 3, 2)
    with pytest.raises(ValueError, match=r"expected item_separator or a list \(x\[\]\), got both"):
        logs.ingest(columns={"user": "user", "item": "x[]", "timestamp": "time"})
