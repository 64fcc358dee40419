"""The ingest: every row has one outcome, and what was taken in once is not taken in twice."""

from __future__ import annotations

import json
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.log_world import AS_OF, COLUMNS, Logs

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.demo.logs import write_demo_logs
from tasks.interactions import ingest as interactions
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import ConfigurationError, DamagedError, InputError

T = "2026-03-01 10:00:00"
AT = datetime.fromisoformat(T)
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


@pytest.fixture
def engine(tmp_path):
    engine = DuckDBEngine(tmp_path / "engine", 2**29, 1)
    yield engine
    engine.close()


@pytest.fixture
def logs(tmp_path, engine):
    return Logs(tmp_path, engine)


def test_rows_become_interactions_with_their_file_and_line(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    done = logs.ingest()
    assert (done.taken, done.known, done.days) == (1, 0, ("2026-03-01",))
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
def test_a_broken_row_is_quarantined_by_its_rule(logs, user, item, time, rule):
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
        "position": "place",
    },
    "event_weights": {"view": 1.0},
}


@pytest.mark.parametrize(
    ("kind", "stars", "factor", "place", "rule"),
    [
        ("", "1", "1", "1", "event_type_missing"),
        ("hover", "1", "1", "1", "event_type_unknown"),
        ("view", "five", "1", "1", "value_unreadable"),
        ("view", "nan", "1", "1", "value_not_finite"),
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
def test_optional_columns_have_their_rules(logs, kind, stars, factor, place, rule):  # noqa: PLR0917
    logs.write(
        "a.csv", f"u,i,{T},{kind},{stars},{factor},{place}", header="user,item,time,kind,stars,factor,place"
    )
    done = logs.ingest(**FULL)
    assert done.counts.rules == ({rule: 1} if rule else {})
    assert done.counts.accepted == (rule is None)


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
def test_whole_numbers_are_ids_and_nothing_else(logs, text, number):
    logs.write("a.csv", f"{text},{text},{T}")
    logs.ingest(user_id_type="int64", item_id_type="string")
    assert logs.rows("user_id, item_id") == ([(number, text)] if number is not None else [])
    assert logs.counts().rules == ({} if number is not None else {"user_unreadable": 1})


def test_quarantined_rows_show_file_line_rule_and_the_row_under_its_columns_names(logs):
    path = logs.write("a.csv", f'u1,i1,{T},"5"" ball"', f"u1,,{T},x", "u1", header='user,item,time,"na""me"')
    logs.ingest()
    [broken, ragged] = logs.quarantine("file, line, rule, raw")
    assert broken[:3] == (str(path), 3, "item_missing")
    assert json.loads(broken[3]) == {"user": "u1", "item": None, "time": T, 'na"me': "x"}
    assert ragged == (str(path), 4, "ragged_line", "u1")


def test_rules_of_the_configuration_quarantine_and_exclude_in_order(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"bot-1,i1,{T}", f"u2,POST,{T}", f"bot-2,POST,{T}")
    done = logs.ingest(
        quarantine=[{"name": "bot", "where": "user_id LIKE 'bot%'"}],
        exclude=[{"name": "postage", "where": "item_id IN ('POST', 'BANK')"}],
    )
    counts = done.counts
    assert (counts.accepted, counts.quarantined, counts.excluded) == (1, 2, 1)
    assert counts.rules == {"bot": 2, "postage": 1}


def test_a_rule_that_is_no_predicate_is_a_mistake_of_the_configuration(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    with pytest.raises(ConfigurationError, match=r"unknown column 'price' in 'price < 0'; known: event_date"):
        logs.ingest(exclude=[{"name": "cheap", "where": "price < 0"}])
    assert Ledger.read(logs.store).manifests == []


def test_only_the_first_of_equal_rows_counts_also_across_files(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u1,i1,{T}", f"u1,i1,{T}x")
    logs.write("b.csv", f"u1,i1,{T}", f"u2,i1,{T}")
    done = logs.ingest()
    assert done.counts.duplicates == 2
    assert logs.rows("user_id, file_id, line") == [("u1", 1, 2), ("u2", 2, 3)]
    assert done.repeated_before_rules == 2


def test_rows_that_differ_in_a_column_that_is_not_kept_are_not_equal(logs):
    logs.write("a.csv", f"u1,i1,{T},x", f"u1,i1,{T},y", header="user,item,time,other")
    assert logs.ingest().counts.duplicates == 0


def test_reordered_columns_are_found_by_name_and_extra_ones_make_another_row(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.write("b.csv", f"{T},u1,i1", f"{T},u2,i2", header="time,user,item")
    logs.write("c.csv", f"u2,i2,{T},x", f"u3,i3,{T},x", header="user,item,time,extra")
    done = logs.ingest()
    assert [row[:2] for row in logs.rows()] == [("u1", "i1"), ("u2", "i2"), ("u2", "i2"), ("u3", "i3")]
    assert done.counts.duplicates == 1


def test_null_values_and_column_names_may_have_any_characters(logs):
    logs.write("a.csv", f"\\N,i1,{T},it's", f"u1,i1,{T},\\N", header="user,item,time,we\\ird'; --")
    done = logs.ingest(null_values=["\\N", "it's"], attributes={"odd": "we\\ird'; --"})
    assert done.counts.rules == {"user_missing": 1}
    assert logs.rows("user_id, odd") == [("u1", None)]
    assert json.loads(logs.quarantine("raw")[0][0]) == {
        "user": "\\N",
        "item": "i1",
        "time": T,
        "we\\ird'; --": "it's",
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
        ("epoch_s", "nan", "timestamp_out_of_range"),
        ("epoch_s", "-1e300", "timestamp_out_of_range"),
        ("epoch_s", "2026-03-01", "timestamp_unreadable"),
        ("%d/%m/%Y %H:%M", "1/3/2026 10:00", None),
        ("%d/%m/%Y %H:%M", "1/13/2026 10:00", "timestamp_unreadable"),
        ("iso", "1772359200", "timestamp_unreadable"),
        ("iso", "2026-03-01T12:00:00.000+02:00", None),
    ],
)
def test_timestamps_are_read_in_the_configured_form_only(logs, form, text, rule):
    logs.write("a.csv", f"u,i,{text}")
    assert logs.ingest(timestamp_format=form).counts.rules == ({rule: 1} if rule else {})
    assert [row[2] for row in logs.rows()] == ([] if rule else [AT])


def test_the_day_is_that_of_the_sources_time_zone(logs):
    logs.write(
        "a.csv", "u1,i1,2026-07-01 00:30:00", "u2,i1,2026-06-30T23:30:00Z", "u3,i1,2026-07-01T01:30:00+02:00"
    )
    logs.ingest(time_zone="Europe/London")
    assert (
        logs.rows("timestamp, event_date")
        == [(AT.replace(month=6, day=30, hour=23, minute=30), date(2026, 7, 1))] * 3
    )


def test_json_lines_keep_numbers_as_they_are_and_nested_values_as_json(logs):
    (logs.folder / "a.jsonl").write_text(
        f'{{"user": 9007199254740993, "item": 7.0, "time": "{T}", "tags": ["a", {{"b": 1}}]}}\n'
        f'{{"user": true, "item": "i2", "time": "{T}"}}\n'
        "[1]\n\n{\n"
        f'{{"item": "i3", "time": "{T}"}}\n'
    )
    done = logs.ingest(attributes={"tags": "tags"})
    assert logs.rows("user_id, item_id, tags, line") == [
        ("9007199254740993", "7.0", '["a", {"b": "1"}]', 1),
        ("true", "i2", None, 2),
    ]
    assert done.counts.rules == {"malformed_json": 2, "user_missing": 1}
    assert done.counts.read == 5


def test_a_key_that_no_row_has_is_a_mistake(logs):
    (logs.folder / "a.jsonl").write_text(f'{{"user": 1, "item": 1, "zeit": "{T}"}}\n')
    with pytest.raises(InputError, match=r"a\.jsonl: expected key 'time', which no row has"):
        logs.ingest()


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


def test_a_damaged_parquet_file_says_so(logs):
    (logs.folder / "a.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(InputError, match=r"a\.parquet: not a readable Parquet file"):
        logs.ingest()


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "parquet"])
def test_the_dirt_of_the_demo_logs_is_found_to_the_row(tmp_path, engine, form):
    logs = Logs(tmp_path, engine, **DEMO)
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
    done = logs.ingest(path=str(logs.folder / "events-*"), file_date="%Y-%m-%d")
    planted, counts = made.planted, done.counts
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


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(CELLS, CELLS, TIMES), max_size=8), min_size=1, max_size=3))
def test_read_is_accepted_excluded_quarantined_and_duplicate(tmp_path_factory, engine, files):
    logs = Logs(tmp_path_factory.mktemp("any"), engine)
    for place, rows in enumerate(files):
        logs.write(f"{place}.csv", *(",".join(row) for row in rows))
    counts = logs.ingest(exclude=[{"name": "seven", "where": "item_id = '7'"}]).counts
    assert counts.residual() == 0
    assert len(logs.rows()) == counts.accepted
    assert len(logs.quarantine()) == counts.quarantined


def test_the_same_files_are_not_taken_in_twice(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    assert (logs.ingest().taken, logs.ingest().known) == (0, 1)
    assert len(Ledger.read(logs.store).manifests) == 1


def test_a_file_that_was_moved_or_copied_is_not_taken_in_again(logs):
    path = logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    path.rename(logs.folder / "b.csv")
    logs.write("copy.csv", f"u1,i1,{T}")
    assert logs.ingest().taken == 0


def test_a_log_that_was_rotated_is_a_new_file(logs):
    path = logs.write("events.csv", f"u1,i1,{T}")
    logs.ingest()
    path.rename(logs.folder / "events-1.csv")
    logs.write("events.csv", f"u2,i2,{T}")
    assert logs.ingest().taken == 1
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]
    assert logs.ingest().taken == 0


def test_a_changed_file_is_refused_until_it_is_to_be_replaced(logs):
    logs.write("a.csv", f"u1,i1,{T}", f"u2,i2,{T}")
    logs.ingest()
    logs.write("a.csv", f"u1,i1,{T}", f"u3,i3,{T}", f"u4,i4,{T}")
    with pytest.raises(
        InputError, match=r"a\.csv: changed since it was taken in \(.* bytes then, .* now\); run"
    ):
        logs.ingest()
    assert len(logs.rows()) == 2
    assert logs.ingest(replace_changed=True).taken == 1
    assert [row[0] for row in logs.rows()] == ["u1", "u3", "u4"]
    assert logs.counts().accepted == 3
    assert logs.ingest().taken == 0


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


def test_a_day_delivered_twice_brings_only_its_new_row(logs):
    logs.write("a.csv", f"u1,i1,{T},x", f"u2,i2,{T},", header="user,item,time,other")
    logs.ingest()
    logs.write("a-again.csv", f"u1,i1,{T},x", f"u2,i2,{T},", f"u2,i2,{T},z", header="user,item,time,other")
    done = logs.ingest()
    assert (done.counts.accepted, done.counts.duplicates) == (1, 2)
    assert logs.rows("user_id, file_id, line") == [("u1", 1, 2), ("u2", 1, 3), ("u2", 2, 4)]


def test_a_day_delivered_twice_in_full_brings_nothing(logs):
    logs.write("a.csv", f"u1,i1,{T}")
    logs.ingest()
    logs.write("b.csv", f"u1,i1,{T}", f"u1,i1,{T}")
    assert logs.ingest().counts.accepted == 0
    assert len(logs.rows()) == 1
    assert logs.counts().residual() == 0


def test_interactions_that_rotted_are_not_compared_with_what_arrives(logs):
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
    done = logs.ingest(rebuild=True)
    assert (done.counts.accepted, done.counts.duplicates) == (2, 1)
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]


def test_batches_are_judged_as_one_ingest_would(tmp_path, engine):
    logs = Logs(tmp_path, engine)
    for place in range(4):
        logs.write(f"{place}.csv", f"u1,i1,{T}", f"u{place + 2},i1,{T}")
    configuration = logs.configuration()
    small = configuration.model_copy(
        update={"engine": configuration.engine.model_copy(update={"batch": "0.00001MiB"})}
    )
    done = interactions.ingest(small, logs.store, engine, AS_OF)
    assert len(Ledger.read(logs.store).manifests) == 4
    assert (done.counts.accepted, done.counts.duplicates) == (5, 3)


def test_rebuild_takes_everything_in_anew(logs):
    logs.write("a.csv", "1,i1,2026-03-01", f"2,i2,{T}")
    logs.ingest()
    with pytest.raises(InputError, match=r"the \[source\] section .* changed"):
        logs.ingest(user_id_type="int64")
    assert logs.ingest(rebuild=True, user_id_type="int64").taken == 1
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


def test_files_dated_after_the_date_are_left_alone(logs):
    for day in (1, 2, 3):
        logs.write(f"events-2026-03-0{day}.csv", f"u{day},i1,2026-03-0{day}")
    (logs.folder / "events-2026-03-03.csv").write_bytes(b"")  # not even looked at
    assert logs.ingest(date(2026, 3, 2), file_date="%Y-%m-%d").taken == 2
    assert [row[0] for row in logs.rows()] == ["u1", "u2"]


def test_a_file_without_rows_is_taken_in(logs):
    logs.write("a.csv")
    assert logs.ingest().counts.read == 0
    assert logs.ingest().known == 1


def test_a_file_that_cannot_be_read_stops_the_ingest_and_names_it(logs):
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


def taken_in_twice(logs):
    """Take in files of every format with dirt and odd hours, then one of them again with a row more."""
    size = {"days": 1, "users": 60, "items": 40, "events_per_day": 300, "dirty_share": 0.3}
    for form, day in (("csv", 24), ("jsonl", 25), ("parquet", 26)):
        write_demo_logs(logs.folder, start=date(2026, 10, day), format=form, **size)
    header = "event_time,user_id,item_id,event_type,session_id,price,quantity,search_query,we\\ird"
    path = logs.write("events-odd.csv", *(f"{at},u\\1,i'1,view,,,,,'x" for at in HOURS), header=header)
    yield logs.ingest(path=f"{logs.folder}/events*", **ODD_RULES)
    (logs.folder / "events-twice.csv").write_text(path.read_text() + "2026-03-29 03:00:00,u9,i9,view,,,,,\n")
    yield logs.ingest(path=f"{logs.folder}/events*", **ODD_RULES)


def everything_in(logs):
    """Return the interactions and the quarantine, the JSON in it parsed."""
    rows = logs.rows(
        "user_id, item_id, timestamp, event_date, event_type, value, weight, session_id, position, query, "
        "rest, file_id, line"
    )
    refused = logs.quarantine("rule, raw, split_part(file, '/', -1), line, user_id, item_id, timestamp")
    parsed = [json.loads(raw) if rule.islower() and raw.endswith("}") else raw for rule, raw, *_ in refused]
    return rows, parsed, [(row[0], *row[2:]) for row in refused]


@pytest.mark.spark
def test_spark_and_duckdb_agree_to_the_row(tmp_path, engine, spark_engine):
    found = []
    for one in (engine, spark_engine):
        logs = Logs(tmp_path / one.name, one, **DEMO | {"time_zone": "Europe/London"})
        found.append([*((done.counts, done.days) for done in taken_in_twice(logs)), *everything_in(logs)])
    for duckdb_found, spark_found in zip(*found, strict=True):
        assert spark_found == duckdb_found
    assert found[0][1][0].duplicates == len(HOURS)
