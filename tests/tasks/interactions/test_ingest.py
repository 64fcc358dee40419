"""The ingest: each row has one outcome on both engines; errors and crashes leave nothing."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.log_world import AS_OF, COLUMNS, Logs

from tasks.demo.logs import write_demo_logs
from tasks.interactions import ingest as interactions
from tasks.interactions.account import absent_columns
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import ConfigurationError, InputError

T = "2026-03-01 10:00:00"
DEMO = {
    "columns": {
        "user": "user_id",
        "item": "item_id",
        "timestamp": "event_time",
        "event_type": "event_type",
        "session": "session_id",
    },
    "attributes": {"query": "search_query"},
    "event_weights": {"view": 1.0, "cart": 3.0, "purchase": 5.0},
    "max_date": "2030-01-01",
}


def test_a_rule_that_is_not_a_predicate_is_a_configuration_error(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    with pytest.raises(ConfigurationError, match=r"unknown column 'price' in 'price < 0'; known: event_date"):
        logs.ingest(exclude=[{"name": "cheap", "where": "price < 0"}])
    assert Ledger.read(logs.store).manifests == []


def test_a_key_that_no_row_has_is_an_error(logs):
    (logs.folder / "a.jsonl").write_text(f'{{"user": 1, "item": 1, "zeit": "{T}"}}\n')
    with pytest.raises(InputError, match=r"a\.jsonl: expected column 'time', which no file has; known: item"):
        logs.ingest()


def test_a_file_of_events_without_items_is_quarantined_if_another_has_items(tmp_path, engine):
    logs = Logs(tmp_path, engine, columns={**COLUMNS, "item": "properties.sku"})
    (logs.folder / "10h.jsonl").write_text(f'{{"user": "a", "time": "{T}", "page": "home"}}\n' * 2)
    (logs.folder / "11h.jsonl").write_text(f'{{"user": "b", "time": "{T}", "properties": {{"sku": "p"}}}}\n')
    ingested = logs.ingest()
    assert (ingested.counts.read, ingested.counts.rules) == (3, {"item_missing": 2})
    assert logs.rows("user_id, item_id") == [("b", "p")]
    assert absent_columns(ingested.files) == {"properties.sku": [f"{logs.folder}/10h.jsonl"]}
    (logs.folder / "12h.jsonl").write_text('{"user": null, "item": null}\n')
    assert logs.ingest().counts.rules == {"user_missing": 1}  # a column that was there before


def test_a_damaged_parquet_file_is_an_error(logs):
    (logs.folder / "a.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(InputError, match=r"a\.parquet: not a readable Parquet file"):
        logs.ingest()


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "parquet"])
def test_every_dirty_row_of_the_demo_logs_is_counted(tmp_path, duckdb_engine, form):
    logs = Logs(tmp_path, duckdb_engine, **DEMO)
    made = write_demo_logs(
        logs.folder,
        start=date(2026, 1, 5),
        days=3,
        users=300,
        items=120,
        events_per_day=1500,
        dirty_share=0.2,
        format=form,
    )
    ingested = logs.ingest(path=str(logs.folder / "events-*"), file_date="%Y-%m-%d")
    planted, counts = made.planted, ingested.counts
    assert counts.read == made.rows
    assert counts.residual() == 0
    assert counts.duplicates == planted["duplicate"]
    ragged = {"jsonl": "malformed_json"}.get(form, "ragged_line")
    expected = {
        "user_missing": planted["missing_user"],
        "item_missing": planted["missing_item"],
        "timestamp_unreadable": planted["bad_timestamp"] + planted["epoch_timestamp"],
        "timestamp_out_of_range": planted["future_timestamp"],
        "event_type_unknown": planted["unknown_event"],
        ragged: planted["ragged"],
    }
    assert counts.rules == {rule: rows for rule, rows in expected.items() if rows}
    assert len(logs.rows()) == counts.accepted == made.rows - sum(expected.values()) - planted["duplicate"]
    assert len(logs.quarantine()) == counts.quarantined


CELLS = st.sampled_from(["", "u1", "u2", "7", '"x', "é"])

TIMES = st.sampled_from([T, "2026-03-02", "never", "", "2400-01-01"])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(CELLS, CELLS, TIMES), max_size=8), min_size=1, max_size=3))
def test_read_is_accepted_excluded_quarantined_and_duplicate(tmp_path_factory, duckdb_engine, files):
    logs = Logs(tmp_path_factory.mktemp("any"), duckdb_engine)
    for number, rows in enumerate(files):
        logs.write(f"{number}.csv", *(",".join(row) for row in rows))
    counts = logs.ingest(exclude=[{"name": "seven", "where": "item_id = '7'"}]).counts
    assert counts.residual() == 0
    assert len(logs.rows()) == counts.accepted
    assert len(logs.quarantine()) == counts.quarantined


def test_batches_give_the_same_result_as_a_single_ingest(tmp_path, duckdb_engine):
    logs = Logs(tmp_path, duckdb_engine)
    for number in range(4):
        logs.write(f"{number}.csv", f"u1,i1,{T}", f"u{number + 2},i1,{T}")
    configuration = logs.configuration()
    small = configuration.model_copy(
        update={"engine": configuration.engine.model_copy(update={"batch": "0.00001MiB"})}
    )
    ingested = interactions.ingest(small, logs.store, duckdb_engine, AS_OF)
    assert len(Ledger.read(logs.store).manifests) == 4
    assert (ingested.counts.accepted, ingested.counts.duplicates) == (5, 3)


def test_rebuild_ingests_everything_again(logs):
    logs.write("a.csv", "1,i1,2026-03-01", f"2,i2,{T}")
    logs.ingest()
    with pytest.raises(InputError, match=r"the \[source\] section .* changed"):
        logs.ingest(user_id_type="int64")
    assert logs.ingest(rebuild=True, user_id_type="int64").ingested == 1
    ledger = Ledger.read(logs.store)
    assert [file.counts.accepted for file in ledger.files()] == [2]


class Crash(Exception):
    pass


def test_a_crash_before_the_commit_leaves_nothing_behind(logs, monkeypatch):
    logs.write("a.csv", f"u1,i1,{T}", f",i1,{T}")

    def crash(self, manifest):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit", crash)
        with pytest.raises(Crash):
            logs.ingest()
    assert list(logs.store.root.rglob("*.parquet"))
    assert logs.rows() == []
    logs.ingest()
    assert len(logs.rows()) == 1
    named = {str(path) for path in Ledger.read(logs.store).parts()}
    assert {str(path) for path in logs.store.interactions.rglob("*.parquet")} == named
    assert len(list(logs.store.quarantine.rglob("*.parquet"))) == 1
    assert not (logs.store.runs / ".ingest").exists()


def test_an_unreadable_file_stops_the_ingest_and_is_named(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.write("b.csv", "u1,i1", header="user,item")
    with pytest.raises(InputError, match=r"b\.csv: expected column 'time'; known: user, item"):
        logs.ingest()
    assert logs.rows() == []


HOURS = [f"2026-{day} 0{hour}:{at}:00" for day in ("10-25", "03-29") for hour in (0, 1, 2) for at in (15, 45)]
ODD_RULES = {
    "quarantine": [{"name": "ball", "where": "lower(query) LIKE '%ball%'"}],
    "exclude": [{"name": "carts", "where": "event_type = 'cart' AND NOT item_id IN ('i1', 'i2')"}],
}


def ingest_twice(logs):
    """Ingest dirty files of every format, then one file again with an additional row."""
    size = {"days": 1, "users": 60, "items": 40, "events_per_day": 300, "dirty_share": 0.3}
    for form, day in (("csv", 24), ("jsonl", 25), ("parquet", 26)):
        write_demo_logs(logs.folder, start=date(2026, 10, day), format=form, **size)
    header = "event_time,user_id,item_id,event_type,session_id,price,quantity,search_query,we\\ird"
    path = logs.write("events-odd.csv", *(f"{at},u\\1,i'1,view,,,,,'x" for at in HOURS), header=header)
    yield logs.ingest(path=f"{logs.folder}/events*", **ODD_RULES)
    (logs.folder / "events-twice.csv").write_text(path.read_text() + "2026-03-29 03:00:00,u9,i9,view,,,,,\n")
    yield logs.ingest(path=f"{logs.folder}/events*", **ODD_RULES)


def all_rows(logs):
    """Return the interactions and the quarantine, with its JSON parsed."""
    rows = logs.rows(
        "user_id, item_id, timestamp, event_date, event_type, value, weight, session_id, position, query, "
        "rest, file_id, line"
    )
    refused = logs.quarantine("rule, raw, split_part(file, '/', -1), line, user_id, item_id, timestamp")
    parsed = [json.loads(raw) if rule.islower() and raw.endswith("}") else raw for rule, raw, *_ in refused]
    return rows, parsed, [(row[0], *row[2:]) for row in refused]


@pytest.mark.spark
def test_spark_and_duckdb_agree_to_the_row(tmp_path, duckdb_engine, spark_engine):
    results = []
    for engine in (duckdb_engine, spark_engine):
        logs = Logs(tmp_path / engine.name, engine, **DEMO | {"time_zone": "Europe/London"})
        results.append(
            [*((ingested.counts, ingested.days) for ingested in ingest_twice(logs)), *all_rows(logs)]
        )
    for by_duckdb, by_spark in zip(*results, strict=True):
        assert by_spark == by_duckdb
    assert results[0][1][0].duplicates == len(HOURS)
