"""Logs to which lines are appended: each line is read once, however the file grows or moves."""

from __future__ import annotations

import gzip
import json

import pytest
from worlds.engines import SPARK_IN_TORTURE
from worlds.log_world import Logs

from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError

T = "2026-03-01 10:00:00"


@pytest.fixture
def growing(tmp_path, duckdb_engine):
    return Logs(tmp_path, duckdb_engine, appended=True)


def append(path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def taken(logs: Logs) -> list[tuple]:
    return [row[:2] for row in logs.rows("user_id, line")]


@SPARK_IN_TORTURE
def test_only_what_was_appended_is_read(tmp_path, engine):
    logs = Logs(tmp_path, engine, appended=True)
    path = logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    logs.ingest()
    append(path, f"u3,i3,{T}\nu1,i1,{T}\nbad\nu4,i4")
    ingested = logs.ingest()
    counts = ingested.counts
    assert (counts.read, counts.accepted, counts.duplicates, counts.quarantined) == (3, 1, 1, 1)
    assert taken(logs) == [("u1", 2), ("u2", 3), ("u3", 4)]
    assert logs.quarantine() == [(6, "ragged_line")]
    append(path, f",{T}\n")  # the rest of a line that was being written
    assert logs.ingest().counts.accepted == 1
    assert taken(logs)[-1] == ("u4", 7)
    assert logs.ingest().ingested == 0
    assert (logs.counts().read, logs.counts().residual()) == (6, 0)


def test_json_lines_grow_and_arrays_do_not(growing):
    path = growing.folder / "a.jsonl"
    rows = [{"user": f"u{n}", "item": "i", "time": T} for n in range(4)]
    path.write_text(json.dumps(rows[0]) + "\n")
    growing.ingest()
    append(path, "".join(json.dumps(row) + "\n" for row in rows[1:]))
    assert growing.ingest().counts.accepted == 3
    assert taken(growing) == [(f"u{n}", n + 1) for n in range(4)]
    array = growing.folder / "b.json"
    array.write_text(json.dumps([{"user": "v", "item": "i", "time": T}]) + "\n")
    growing.ingest()
    array.write_text(json.dumps([{"user": name, "item": "i", "time": T} for name in "vw"]) + "\n")
    with pytest.raises(InputError, match=r"b\.json: changed since it was ingested"):
        growing.ingest()


def test_a_log_that_is_rotated_goes_on_under_its_new_name(growing):
    path = growing.write("events.csv", f"u1,i1,{T}")
    growing.ingest()
    append(path, f"u2,i2,{T}\n")
    path.rename(growing.folder / "events-1.csv")
    path = growing.write("events.csv", f"u3,i3,{T}")
    assert growing.ingest().counts.accepted == 2
    append(path, f"u4,i4,{T}\n")
    assert growing.ingest().counts.accepted == 1
    path.rename(growing.folder / "events-2.csv")
    growing.write("events.csv", f"u5,i5,{T}")
    assert growing.ingest().counts.accepted == 1
    assert growing.counts().accepted == 5
    assert growing.counts().duplicates == 0
    assert growing.ingest().ingested == 0


def test_a_rebuild_reads_each_line_once_and_keeps_what_is_gone(growing):
    path = growing.write("a.csv", f"u1,i1,{T}")
    growing.ingest()
    append(path, f"u2,i2,{T}\n")
    growing.ingest()
    gone = growing.write("gone.csv", f"u8,i8,{T}")
    growing.ingest()
    append(gone, f"u9,i9,{T}\n")
    growing.ingest()
    gone.unlink()
    append(path, f"u3,i3,{T}\n")
    growing.ingest(rebuild=True)
    assert sorted(row[0] for row in taken(growing)) == ["u1", "u2", "u3", "u8", "u9"]
    assert growing.counts().accepted == 5
    append(path, f"u4,i4,{T}\n")
    assert growing.ingest().counts.accepted == 1


def test_a_file_that_changed_otherwise_is_replaced_as_a_whole(growing):
    path = growing.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    growing.ingest()
    append(path, f"u3,i3,{T}\n")
    growing.ingest()
    growing.write("b.csv", f"u3,i3,{T}", f"u7,i7,{T}")
    growing.ingest()
    growing.write("a.csv", f"u1,i1,{T}", f"u5,i5,{T}", f"u6,i6,{T}", f"u7,i7,{T}", f"u8,i8,{T}")
    with pytest.raises(InputError, match=r"a\.csv: changed since it was ingested"):
        growing.ingest()
    growing.ingest(replace_changed=True)
    assert sorted(row[0] for row in taken(growing)) == ["u1", "u3", "u5", "u6", "u7", "u8"]
    assert growing.counts().residual() == 0
    append(path, f"u9,i9,{T}\n")
    assert growing.ingest().counts.accepted == 1


def test_part_of_a_file_with_a_duplicate_is_read_again_when_the_first_copy_is_replaced(growing):
    growing.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    growing.ingest()
    path = growing.write("b.csv", f"u9,i9,{T}")
    growing.ingest()
    append(path, f"u1,i1,{T}\nu8,i8,{T}\n")
    assert growing.ingest().counts.duplicates == 1
    append(path, f"u7,i7,{T}\n")
    growing.ingest()
    growing.write("a.csv", f"u2,i2,{T}", f"u3,i3,{T}", f"u4,i4,{T}")
    growing.ingest(replace_changed=True)
    lines = {row[0]: row[1] for row in taken(growing)}
    assert lines == {"u2": 2, "u3": 3, "u4": 4, "u9": 2, "u1": 3, "u8": 4, "u7": 5}
    assert (growing.counts().duplicates, growing.counts().residual()) == (0, 0)
    append(path, f"u6,i6,{T}\n")
    assert growing.ingest().counts.accepted == 1


def test_a_copy_of_a_log_that_grew_counts_once(growing):
    path = growing.write("a.csv", f"u1,i1,{T}")
    growing.ingest()
    append(path, f"u2,i2,{T}\n")
    (growing.folder / "copy.csv").write_bytes(path.read_bytes() + f"u3,i3,{T}\n".encode())
    growing.ingest()
    assert sorted(row[0] for row in taken(growing)) == ["u1", "u2", "u3"]


def test_compressed_files_are_read_whole_and_a_file_without_a_line_waits(growing):
    (growing.folder / "a.csv.gz").write_bytes(gzip.compress(f"user,item,time\nu1,i1,{T}\n".encode()))
    path = growing.folder / "b.csv"
    path.write_text("user,item")
    assert growing.ingest().counts.accepted == 1
    append(path, f",time\nu2,i2,{T}\n")
    assert growing.ingest().counts.accepted == 1


def test_turning_it_on_later_or_off_again_loses_and_repeats_nothing(tmp_path, duckdb_engine):
    logs = Logs(tmp_path, duckdb_engine)
    path = logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    append(path, f"u2,i2,{T}\n")
    with pytest.raises(InputError, match="appended = true"):
        logs.ingest()
    assert logs.ingest(appended=True).counts.accepted == 1
    assert logs.ingest().ingested == 0
    assert len(Ledger.read(logs.store).files()) == 2
    append(path, f"u3,i3,{T}\n")
    logs.ingest(replace_changed=True)
    assert sorted(row[0] for row in taken(logs)) == ["u1", "u2", "u3"]
