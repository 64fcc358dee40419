"""The outcome of a row: its columns are read as configured, or a rule quarantines it."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worlds.log_world import COLUMNS, Logs

from sql.engines.duckdb_engine import DuckDBEngine

T = "2026-03-01 10:00:00"
AT = datetime.fromisoformat(T)


def test_rows_become_interactions_with_their_file_and_line(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    ingested = logs.ingest()
    assert (ingested.ingested, ingested.known, ingested.days) == (1, 0, ("2026-03-01",))
    assert logs.rows("user_id, item_id, timestamp, event_date, file_id, line") == [
        ("u1", "i1", AT, AT.date(), 1, 2),
        ("u2", "i2", AT, AT.date(), 1, 3),
    ]


RULES = [
    ("", "i", T, "user_missing"),
    ("  ", "i", T, "user_missing"),
    ("u", "", T, "item_missing"),
    ("u", "i", "", "timestamp_missing"),
    ("u", "i", "yesterday", "timestamp_unreadable"),
    ("u", "i", "2026-02-30", "timestamp_unreadable"),
    ("u", "i", "1989-12-31", "timestamp_out_of_range"),
    ("u", "i", "2100-01-02", "timestamp_out_of_range"),
    ("u", "i", "9999-12-31", "timestamp_out_of_range"),
]


@pytest.mark.parametrize(("user", "item", "time", "rule"), RULES)
def test_a_broken_row_is_quarantined_under_its_rule(logs, user, item, time, rule):
    logs.write("a.csv", f"{user},{item},{time}", f"u1,i1,{T}")
    assert logs.ingest().counts.rules == {rule: 1}
    assert logs.quarantine() == [(2, rule)]
    assert len(logs.rows()) == 1


FULL = {
    "columns": {
        **COLUMNS,
        "event_type": "kind",
        "value": "stars",
        "weight": "factor",
        "position": "position",
    },
    "event_weights": {"view": 1.0},
}


@pytest.mark.parametrize(
    ("kind", "stars", "factor", "position", "rule"),
    [
        ("", "1", "1", "1", "event_type_missing"),
        ("hover", "1", "1", "1", "event_type_unknown"),
        ("view", "five", "1", "1", "value_unreadable"),
        ("view", "inf", "1", "1", "value_not_finite"),
        ("view", "-inf", "1", "1", "value_not_finite"),
        ("view", "1e400", "1", "1", "value_not_finite"),
        ("view", "1", "x", "1", "weight_unreadable"),
        ("view", "1", "inf", "1", "weight_not_finite"),
        ("view", "1", "-0.5", "1", "weight_negative"),
        ("view", "1", "1", "first", "position_unreadable"),
        ("view", "", "", "", None),
        ("view", "-3.5", "0", "-1", None),
    ],
)
def test_optional_columns_have_their_rules(logs, kind, stars, factor, position, rule):  # noqa: PLR0917
    logs.write(
        "a.csv",
        f"u,i,{T},{kind},{stars},{factor},{position}",
        header="user,item,time,kind,stars,factor,position",
    )
    ingested = logs.ingest(**FULL)
    assert ingested.counts.rules == ({rule: 1} if rule else {})
    assert ingested.counts.accepted == (rule is None)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17850.0", 17850),
        ("007", 7),
        ("-3", -3),
        (str(2**53 + 1), 2**53 + 1),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("17850.5", None),
        ("1e3", None),
        ("1.0.0", None),
        ("-", None),
        ("u8", None),
        ("0x10", None),
        ("1_000", None),
    ],
)
def test_only_whole_numbers_are_integer_ids(logs, text, number):
    logs.write("a.csv", f"{text},{text},{T}")
    logs.ingest(user_id_type="int64", item_id_type="string")
    assert logs.rows("user_id, item_id") == ([(number, text)] if number is not None else [])
    assert logs.counts().rules == ({} if number is not None else {"user_unreadable": 1})


def test_quarantined_rows_show_file_line_rule_and_columns(logs):
    path = logs.write("a.csv", f'u1,i1,{T},"5"" ball"', f"u1,,{T},x", "u1", header='user,item,time,"na""me"')
    logs.ingest()
    [broken, ragged] = logs.quarantine("file, line, rule, raw")
    assert broken[:3] == (str(path), 3, "item_missing")
    assert json.loads(broken[3]) == {"user": "u1", "item": None, "time": T, 'na"me': "x"}
    assert ragged == (str(path), 4, "ragged_line", "u1")


def test_configured_rules_quarantine_and_exclude_in_order(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"bot-1,i1,{T}", f"u2,POST,{T}", f"bot-2,POST,{T}")
    ingested = logs.ingest(
        quarantine=[{"name": "bot", "where": "user_id LIKE 'bot%'"}],
        exclude=[{"name": "postage", "where": "item_id IN ('POST', 'BANK')"}],
    )
    counts = ingested.counts
    assert (counts.accepted, counts.quarantined, counts.excluded) == (1, 2, 1)
    assert counts.rules == {"bot": 2, "postage": 1}


def test_only_the_first_of_equal_rows_counts_even_across_files(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u1,i1,{T}", f"u1,i1,{T}x")
    logs.write("b.csv", f"u1,i1,{T}", f"u2,i1,{T}")
    ingested = logs.ingest()
    assert ingested.counts.duplicates == 2
    assert logs.rows("user_id, file_id, line") == [("u1", 1, 2), ("u2", 2, 3)]
    assert ingested.repeated_before_rules == 2


def test_rows_that_differ_in_an_unmapped_column_are_not_equal(logs):
    logs.write("a.csv", f"u1,i1,{T},x", f"u1,i1,{T},y", header="user,item,time,other")
    assert logs.ingest().counts.duplicates == 0


def test_columns_are_matched_by_name_and_an_extra_column_makes_a_different_row(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.write("b.csv", f"{T},u1,i1", f"{T},u2,i2", header="time,user,item")
    logs.write("c.csv", f"u2,i2,{T},x", f"u3,i3,{T},x", header="user,item,time,extra")
    ingested = logs.ingest()
    assert [row[:2] for row in logs.rows()] == [("u1", "i1"), ("u2", "i2"), ("u2", "i2"), ("u3", "i3")]
    assert ingested.counts.duplicates == 1


def test_null_values_and_column_names_can_have_any_characters(logs):
    logs.write("a.csv", f"\\N,i1,{T},it's", f"u1,i1,{T},\\N", header="user,item,time,we\\ird'; --")
    ingested = logs.ingest(null_values=["\\N", "it's"], attributes={"odd": "we\\ird'; --"})
    assert ingested.counts.rules == {"user_missing": 1}
    assert logs.rows("user_id, odd") == [("u1", None)]
    assert json.loads(logs.quarantine("raw")[0][0]) == {
        "user": None,
        "item": "i1",
        "time": T,
        "we\\ird'; --": None,
    }


@pytest.mark.parametrize(
    ("form", "text", "rule"),
    [
        ("epoch_s", "1772359200", None),
        ("epoch_ms", "1772359200000", None),
        ("epoch_us", "1772359200000000", None),
        ("epoch_s", "1772359200.0", None),
        ("epoch_s", "1772359200000", "timestamp_out_of_range"),
        ("epoch_ms", "1772359200", "timestamp_out_of_range"),
        ("epoch_us", "1772359200", "timestamp_out_of_range"),
        ("epoch_s", "nan", "timestamp_missing"),
        ("epoch_s", "-1e300", "timestamp_out_of_range"),
        ("epoch_s", "2026-03-01", "timestamp_unreadable"),
        ("%d/%m/%Y %H:%M", "1/3/2026 10:00", None),
        ("%d/%m/%Y %H:%M", "1/13/2026 10:00", "timestamp_unreadable"),
        ("iso", "1772359200", "timestamp_unreadable"),
        ("iso", "2026-03-01T12:00:00.000+02:00", None),
    ],
)
def test_timestamps_are_read_only_in_the_configured_format(logs, form, text, rule):
    logs.write("a.csv", f"u,i,{text}")
    assert logs.ingest(timestamp_format=form).counts.rules == ({rule: 1} if rule else {})
    assert [row[2] for row in logs.rows()] == ([] if rule else [AT])


def test_the_day_is_in_the_sources_time_zone(logs):
    logs.write(
        "a.csv", "u1,i1,2026-07-01 00:30:00", "u2,i1,2026-06-30T23:30:00Z", "u3,i1,2026-07-01T01:30:00+02:00"
    )
    logs.ingest(time_zone="Europe/London")
    assert (
        logs.rows("timestamp, event_date")
        == [(AT.replace(month=6, day=30, hour=23, minute=30), date(2026, 7, 1))] * 3
    )


def test_json_lines_keep_numbers_unchanged_and_nested_values_as_json(logs):
    (logs.folder / "a.jsonl").write_text(
        f'{{"user": 9007199254740993, "item": 7.0, "time": "{T}", "tags": ["a", {{"b": 1}}]}}\n'
        f'{{"user": true, "item": "i2", "time": "{T}"}}\n'
        "[1]\n\n{\n"
        f'{{"item": "i3", "time": "{T}"}}\n'
    )
    ingested = logs.ingest(attributes={"tags": "tags"})
    assert logs.rows("user_id, item_id, tags, line") == [
        ("9007199254740993", "7.0", '["a", {"b": "1"}]', 1),
        ("true", "i2", None, 2),
    ]
    assert ingested.counts.rules == {"malformed_json": 2, "user_missing": 1}
    assert ingested.counts.read == 5


def test_parquet_types_become_text_without_loss(logs):
    table = pa.table(
        {
            "user": pa.array([2**53 + 1, None], pa.int64()),
            "item": pa.array([17850.0, 17850.5]),
            "time": pa.array([AT.replace(microsecond=123456)] * 2),
            "tags": [["a"], None],
        }
    )
    pq.write_table(table, logs.folder / "a.parquet")
    logs.ingest(user_id_type="int64", attributes={"tags": "tags"})
    [row] = logs.rows("user_id, item_id, timestamp, tags, line")
    assert row[0] == 2**53 + 1
    assert row[2:] == (AT.replace(microsecond=123456), '["a"]', 1)
    assert logs.quarantine() == [(2, "user_missing")]


@pytest.mark.parametrize(("zone", "accepted"), [("UTC", 3), ("Pacific/Kiritimati", 2)])
def test_events_after_the_day_of_their_file_are_quarantined_in_the_zone_of_the_source(
    tmp_path: Path, duckdb_engine: DuckDBEngine, zone: str, accepted: int
) -> None:
    logs = Logs(tmp_path / "shop", duckdb_engine, file_date="%Y-%m-%d", time_zone=zone)
    days = ("2026-01-05T08:00:00Z", "2025-12-31T08:00:00Z", "2026-01-06T23:59:59Z", "2081-01-05T08:00:00Z")
    logs.write("events-2026-01-05.csv", *(f"u{n},i1,{day}" for n, day in enumerate(days)))
    ingested = logs.ingest()
    assert ingested.counts.accepted == accepted
    assert ingested.counts.rules == {"timestamp_after_file": 4 - accepted}
    assert [path.parent.name for path in logs.store.quarantine.rglob("*.parquet")] == ["event_date=unknown"]


def test_without_file_date_events_can_be_later_than_their_file(
    tmp_path: Path, duckdb_engine: DuckDBEngine
) -> None:
    logs = Logs(tmp_path / "shop", duckdb_engine)
    logs.write("events-2026-01-05.csv", "u1,i1,2081-01-05T08:00:00Z")
    assert logs.ingest().counts.accepted == 1


def test_files_of_a_day_are_added_to_those_of_earlier_ingests(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    logs.write("b.csv", f"u2,i2,{T}", "u3,i3,2026-03-02 10:00:00")
    logs.ingest()
    parts = [str(path.relative_to(logs.store.interactions)) for path in logs.store.interactions.rglob("*.*")]
    assert sorted(parts) == [
        "event_date=2026-03-01/000001-000.parquet",
        "event_date=2026-03-01/000002-000.parquet",
        "event_date=2026-03-02/000002-000.parquet",
    ]
    assert sorted(logs.rows("user_id")) == [("u1",), ("u2",), ("u3",)]
