"""Which files are ingested: new files once, changed files on request, later files never."""

from __future__ import annotations

from datetime import date

import pytest

from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import DamagedError, InputError

T = "2026-03-01 10:00:00"


def test_the_same_files_are_not_ingested_twice(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    assert (logs.ingest().ingested, logs.ingest().known) == (0, 1)
    assert len(Ledger.read(logs.store).manifests) == 1


def test_a_moved_or_copied_file_is_not_ingested_twice(logs):
    path = logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    path.rename(logs.folder / "b.csv")
    logs.write("copy.csv", f"u1,i1,{T}")
    assert logs.ingest().ingested == 0


def test_a_rotated_log_is_a_new_file(logs):
    path = logs.write("events.csv", f"u1,i1,{T}")
    logs.ingest()
    path.rename(logs.folder / "events-1.csv")
    logs.write("events.csv", f"u2,i2,{T}")
    assert logs.ingest().ingested == 1
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]
    assert logs.ingest().ingested == 0


def test_a_changed_file_is_rejected_unless_it_is_to_be_replaced(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    logs.ingest()
    logs.write("a.csv", f"u1,i1,{T}", f"u3,i3,{T}", f"u4,i4,{T}")
    with pytest.raises(
        InputError, match=r"a\.csv: changed since it was ingested \(.* bytes then, .* now\); run"
    ):
        logs.ingest()
    assert len(logs.rows()) == 2
    assert logs.ingest(replace_changed=True).ingested == 1
    assert [row[0] for row in logs.rows()] == ["u1", "u3", "u4"]
    assert logs.counts().accepted == 3
    assert logs.ingest().ingested == 0


def test_a_duplicate_counts_when_the_file_of_its_first_copy_is_replaced(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    logs.write("b.csv", f"u1,i1,{T}", f"u9,i9,{T}")
    logs.ingest()
    assert logs.counts().duplicates == 1
    logs.write("a.csv", f"u2,i2,{T}", f"u5,i5,{T}", f"u6,i6,{T}")
    logs.ingest(replace_changed=True)
    assert sorted(row[0] for row in logs.rows()) == ["u1", "u2", "u5", "u6", "u9"]
    assert logs.counts().duplicates == 0
    assert logs.counts().residual() == 0


def test_a_day_delivered_twice_adds_only_its_new_row(logs):
    logs.write("a.csv", f"u1,i1,{T},x", f"u2,i2,{T},", header="user,item,time,other")
    logs.ingest()
    logs.write("a-second.csv", f"u1,i1,{T},x", f"u2,i2,{T},", f"u2,i2,{T},z", header="user,item,time,other")
    ingested = logs.ingest()
    assert (ingested.counts.accepted, ingested.counts.duplicates) == (1, 2)
    assert logs.rows("user_id, file_id, line") == [("u1", 1, 2), ("u2", 1, 3), ("u2", 2, 4)]


def test_a_day_delivered_twice_unchanged_adds_nothing(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    logs.write("b.csv", f"u1,i1,{T}", f"u1,i1,{T}")
    assert logs.ingest().counts.accepted == 0
    assert len(logs.rows()) == 1
    assert logs.counts().residual() == 0


def test_damaged_interactions_are_not_compared_with_arriving_rows(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    (part,) = Ledger.read(logs.store).parts()
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 4
    part.write_bytes(content)
    logs.write("b.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    with pytest.raises(DamagedError, match=r"000001-000\.parquet: expected sha256 .* --rebuild`"):
        logs.ingest()
    assert len(Ledger.read(logs.store).manifests) == 1
    ingested = logs.ingest(rebuild=True)
    assert (ingested.counts.accepted, ingested.counts.duplicates) == (2, 1)
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]


def test_files_dated_after_the_date_are_skipped(logs):
    for day in (1, 2, 3):
        logs.write(f"events-2026-03-0{day}.csv", f"u{day},i1,2026-03-0{day}")
    (logs.folder / "events-2026-03-03.csv").write_bytes(b"")  # it is not read
    assert logs.ingest(date(2026, 3, 2), file_date="%Y-%m-%d").ingested == 2
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]


def test_a_file_without_rows_is_ingested(logs):
    logs.write("a.csv")
    assert logs.ingest().counts.read == 0
    assert logs.ingest().known == 1
