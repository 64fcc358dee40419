"""An event that arrives again is a duplicate: an empty column is as good as none."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.engines import SPARK_IN_TORTURE
from worlds.log_world import Logs

from tasks.interactions.ledger import Ledger, manifest_paths
from tasks.store.files import read_json, write_json_atomically

T = "2026-03-01 10:00:00"


@pytest.fixture
def logs(tmp_path, engine):
    return Logs(tmp_path, engine)


def outcomes(counts):
    return counts.accepted, counts.duplicates


@pytest.mark.parametrize("at_once", [True, False])
def test_rows_are_equal_if_they_have_the_same_values(logs, at_once):
    logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}", f"u3,i3,{T}")
    logs.write("b.csv", f"u8,i8,{T},1,", f"u8,i8,{T},,1", f"u9,i9,{T},11,", header="user,item,time,a,b")
    if not at_once:
        logs.ingest()
    new = (
        f"u1,i1,{T},,",  # the new columns are empty
        f"u2,i2,{T},x,",  # one has a value
        f"u3,i3,{T},,",
        f"u8,i8,{T},,1",
        f"u8,i8,{T},1,1",
        f"u9,i9,{T},1,1",
    )
    logs.write("c.csv", *(line + "," for line in new), header="user,item,time,a,b,later")
    ingested = logs.ingest()
    total = ingested.total
    assert (total.accepted, total.duplicates, total.residual()) == (9, 3, 0)
    accepted = [row[:2] for row in logs.rows("user_id, line, file_id") if row[2] == 3]
    assert accepted == [("u2", 3), ("u8", 6), ("u9", 7)]


@SPARK_IN_TORTURE
@pytest.mark.parametrize("at_once", [True, False])
def test_keys_of_json_without_a_value_do_not_count(logs, at_once):
    event = {"user": "u1", "item": "i1", "time": T}
    (logs.folder / "a.jsonl").write_text(json.dumps(event | {"extra": "x"}) + "\n")
    if not at_once:
        logs.ingest()
    again = [event | {"extra": "x", "new": None}, event | {"new": "", "extra": "x"}, event | {"extra": None}]
    (logs.folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in again))
    total = logs.ingest().total
    assert (total.accepted, total.duplicates) == (2, 2)


def test_rows_that_version_0_1_stored_are_found_again(tmp_path, duckdb_engine):
    logs = Logs(tmp_path, duckdb_engine)
    lines = [f"u1,i1,{T},x,y", f"u2,i2,{T},x,", f"u3,i3,{T},,"]
    logs.write("a.csv", *lines, header="user,item,time,a,b")
    logs.write("b.csv", f"u4,i4,{T}")
    logs.ingest()
    as_then = {"u1": "x\x1fy", "u2": "x\x1f\x1e", "u3": "\x1e\x1f\x1e", "u4": None}
    (part,) = Ledger.read(logs.store).parts()
    table = pq.read_table(part, partitioning=None)
    texts = [as_then[user] for user in table["user_id"].to_pylist()]
    rests = [text and hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]
    table = table.set_column(table.schema.get_field_index("rest"), "rest", pa.array(rests, pa.string()))
    pq.write_table(table, part)
    (path,) = manifest_paths(logs.store)
    content = read_json(path)
    write_json_atomically(path, {k: v for k, v in content.items() if k not in {"source", "kept", "hashes"}})
    logs.write("c.csv", *lines, f"u5,i5,{T},x,", header="user,item,time,a,b")
    assert outcomes(logs.ingest().counts) == (1, 3)
    more = [f"{lines[0]},", f"u3,i3,{T},,,", f"u4,i4,{T},,,", f"u4,i4,{T},,,z"]
    logs.write("d.csv", *more, header="user,item,time,a,b,new")
    assert outcomes(logs.ingest().counts) == (1, 3)
