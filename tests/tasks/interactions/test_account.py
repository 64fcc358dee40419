"""What files lack: optional columns count as empty, and the account says which files lack them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.log_world import AS_OF, COLUMNS, Logs

from tasks.configuration.configuration import Configuration
from tasks.interactions.account import absence, absent_columns
from tasks.interactions.ingest import ingest
from tasks.runtime.errors import InputError

T = "2026-03-01 10:00:00"


def test_a_column_may_be_absent_from_some_files_and_counts_as_empty_there(tmp_path, engine):
    columns = {**COLUMNS, "value": "stars", "event_type": "kind"}
    logs = Logs(tmp_path, engine, columns=columns, attributes={"colour": "colour"}, null_values=["", "-"])
    logs.write("a.csv", f"u1,i1,{T}")
    logs.write("b.csv", f"u2,i2,{T},view,4,-", header="user,item,time,kind,stars,colour")
    (logs.folder / "c.jsonl").write_text(
        f'{{"user": "u3", "item": "i3", "time": "{T}", "stars": 2}}\n'
        f'{{"user": "u4", "item": "i4", "time": "{T}"}}\n'
    )
    pq.write_table(
        pa.table({"user": ["u5"], "item": ["i5"], "time": [T], "colour": ["red"]}), logs.folder / "d.parquet"
    )
    ingested = logs.ingest()
    assert logs.rows("user_id, value, event_type, colour") == [
        ("u1", None, None, None), ("u2", 4.0, "view", None), ("u3", 2.0, None, None),
        ("u4", None, None, None), ("u5", None, None, "red"),
    ]  # fmt: skip
    a, c, d = (f"{logs.folder}/{name}" for name in ("a.csv", "c.jsonl", "d.parquet"))
    assert absent_columns(ingested.files) == {"kind": [a, c, d], "stars": [a, d], "colour": [a, c]}
    assert absence("stars", [a, d]) == f"column 'stars' is empty in 2 files, which lack it ({a}, {d})"


def test_a_column_that_no_file_has_is_misspelt(tmp_path, duckdb_engine):
    logs = Logs(tmp_path, duckdb_engine, columns={**COLUMNS, "value": "stars"})
    logs.write("a.csv", f"u1,i1,{T},3", header="user,item,time,star")
    with pytest.raises(
        InputError, match=r"a\.csv: expected column 'stars', which no file has; known: .*star, time"
    ):
        logs.ingest()
    assert logs.rows() == []
    (logs.folder / "a.csv").unlink()
    (logs.folder / "a.jsonl").write_text(f'{{"user": "u1", "item": "i1", "time": "{T}"}}\n')
    with pytest.raises(
        InputError, match=r"a\.jsonl: expected column 'stars', which no file has; known: item, time, user"
    ):
        logs.ingest()


def test_a_column_may_begin_with_the_last_of_many_batches_or_have_been_in_earlier_ones(
    tmp_path, duckdb_engine
):
    logs = Logs(tmp_path, duckdb_engine, columns={**COLUMNS, "value": "stars"})
    for number in range(3):
        logs.write(f"{number}.csv", f"u{number},i1,{T}")
    small = {**logs.configuration().model_dump(exclude_unset=True), "engine": {"batch": "0.000001MiB"}}
    configuration = Configuration.model_validate(small)  # a batch for each file
    with pytest.raises(InputError, match=r"0\.csv: expected column 'stars', which no file has"):
        ingest(configuration, logs.store, duckdb_engine, AS_OF)
    logs.write("3.csv", f"u3,i1,{T},5", header="user,item,time,stars")
    assert ingest(configuration, logs.store, duckdb_engine, AS_OF).ingested == 4
    logs.write("4.csv", f"u4,i1,{T}")
    assert ingest(configuration, logs.store, duckdb_engine, AS_OF).counts.accepted == 1
    assert logs.rows("user_id, value") == [(f"u{n}", 5.0 if n == 3 else None) for n in range(5)]
