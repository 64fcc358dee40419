"""The gate: every expectation fails on its own, says so, and lets nothing of the events out."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pytest

from sql.engines.duckdb_engine import DuckDBEngine
from tasks.configuration.configuration import Configuration
from tasks.interactions.account import Counts
from tasks.interactions.events import make_events
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.release.tables import IdTypes, table
from tasks.runtime.errors import ConfigurationError, ValidationFailedError
from tasks.store.layout import Store
from tasks.validation.checks import Check, GateClosedError
from tasks.validation.profile import make_profile
from tasks.validation.results import quarantine_examples, validate

AS_OF = date(2026, 3, 9)  # a Monday
SECRET = "secret-user-"  # noqa: S105 - what must not get out
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", pa.timestamp("us")),
        ("event_date", pa.date32()),
        ("event_type", pa.string()),
        ("value", pa.float64()),
        ("weight", pa.float64()),
        ("session_id", pa.string()),
        ("position", pa.int64()),
        ("country", pa.string()),
        ("file_id", pa.int32()),
        ("line", pa.int64()),
    ]
)


def configuration(**gate: Any) -> Configuration:
    return Configuration.model_validate(
        {
            "source": {
                "path": "logs",
                "columns": {
                    "user": "u",
                    "item": "i",
                    "timestamp": "t",
                    "event_type": "e",
                    "value": "v",
                    "weight": "w",
                },
                "attributes": {"country": "c"},
                "event_weights": {"view": 1.0, "purchase": 5.0},
                "timestamp_format": "epoch_s",
                "exclude": [{"name": "bots", "where": "user_id = 'bot'"}],
            },
            "gate": gate,
        }
    )


def event(number: int, day: date, **changes: Any) -> dict[str, Any]:
    return {
        "user_id": f"{SECRET}{number % 4}",
        "item_id": f"item-{number % 5}",
        "timestamp": datetime.fromisoformat(f"{day}T12:{number % 60:02}"),
        "event_date": day,
        "event_type": "view",
        "value": 3.0,
        "weight": 1.0,
        "session_id": None,
        "position": None,
        "country": "GB" if number % 2 else None,
        "file_id": 1,
        "line": number,
    } | changes


def history(today: int = 10) -> list[dict[str, Any]]:
    """Ten events on each of the three working days before the weekend, `today` on Monday."""
    days = [date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)]
    rows = [event(number, day) for day in days for number in range(10)]
    return rows + [event(number, AS_OF) for number in range(today)]


COUNTS = Counts(read=50, accepted=40, excluded=3, quarantined=5, duplicates=2,
                rules={"bots": 3, "user_missing": 4, "too_few_fields": 1})  # fmt: skip


@pytest.fixture
def duckdb_engine(tmp_path):
    engine = DuckDBEngine(tmp_path / "engine", 256 * 2**20, 1)
    yield engine
    engine.close()


@pytest.fixture
def gate(duckdb_engine, tmp_path):
    def run(rows=None, counts=COUNTS, settings=None, engine=duckdb_engine, **more):
        engine.table("events", pa.Table.from_pylist(history() if rows is None else rows, schema=SCHEMA))
        return validate(settings or configuration(), engine, counts, AS_OF, tmp_path / "docs", **more)

    return run


def refused(gate, *args, **more) -> tuple[GateClosedError, list[str]]:
    with pytest.raises(ValidationFailedError) as caught:
        gate(*args, **more)
    error = caught.value
    assert isinstance(error, GateClosedError)
    assert error.index.is_file()  # the pages are there before the veto
    lines = str(error).splitlines()
    failed = [check for check in error.checks if not check.passed and check.column != "quarantine"]
    assert lines[0].startswith(f"2026-03-09: {len(failed)} of the gate's expectations failed")
    assert len(lines) == 1 + len(failed)
    assert SECRET not in str(error)
    return error, lines[1:]


def test_a_good_night_passes_with_every_figure(gate):
    checks = gate(settings=configuration(max_null_share={"country": 0.5}, min_value=1, max_value=5))
    assert [tuple(asdict(check).values()) for check in checks] == [
        ("event_types", "event_type", "0 unknown", "in purchase, view", True, 0),
        ("events_on_as_of", "event_date", "10", ">= 1", True, 0),
        ("max_duplicate_share", "", "0.04", "<= 0.5", True, 2),
        ("max_null_share", "country", "0.5", "<= 0.5", True, 20),
        ("max_null_share", "event_date", "0", "<= 0", True, 0),
        ("max_null_share", "item_id", "0", "<= 0", True, 0),
        ("max_null_share", "timestamp", "0", "<= 0", True, 0),
        ("max_null_share", "user_id", "0", "<= 0", True, 0),
        ("max_quarantined_share", "", "0.1", "<= 0.2", True, 5),
        ("max_value", "value", "0", "<= 0", True, 0),
        ("min_events", "", "40", ">= 1", True, 0),
        ("min_items", "", "5", ">= 2", True, 0),
        ("min_users", "", "4", ">= 2", True, 0),
        ("min_value", "value", "0", "<= 0", True, 0),
        ("min_weight", "weight", "0", "<= 0", True, 0),
        ("not_after_as_of", "event_date", "2026-03-09", "<= 2026-03-09", True, 0),
        ("not_after_as_of", "timestamp", "0", "<= 0", True, 0),
        ("too_few_fields", "quarantine", "0.02", "<= 0.2", True, 1),
        ("user_missing", "quarantine", "0.08", "<= 0.2", True, 4),
        ("volume", "event_date", "1", ">= 0.05 and <= 20", True, 0),
    ]


def test_the_checks_are_rows_of_validation_results(gate):
    contract = table("validation_results")
    checks = gate()
    rows = pa.Table.from_pylist([asdict(check) for check in checks], schema=contract.schema(IdTypes()))
    keys = list(zip(*(rows[name].to_pylist() for name in contract.key), strict=True))
    assert keys == sorted(set(keys))
    assert gate() == checks


LATER = datetime.fromisoformat("2026-03-10")
EARLIER_DAYS = (
    "times the median of the last 3 earlier days with events (10), got 1 times (10 events on 2026-03-09)"
)
TYPES = "only the types of source.event_weights (purchase, view), got 1 others, in 1 events"
ALONE: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"min_events": 1000}, {}, "min_events", "at least 1,000 events up to 2026-03-09, got 40"),
    ({"min_users": 5}, {}, "min_users", "at least 5 users up to 2026-03-09, got 4"),
    ({"min_items": 6}, {}, "min_items", "at least 6 items up to 2026-03-09, got 5"),
    ({"max_null_share": {"country": 0.49}}, {},
     "max_null_share of country", "at most 49% nulls, got 50% (20 of 40 events)"),
    ({}, {"user_id": None}, "max_null_share of user_id", "at most 0% nulls, got 2.5% (1 of 40 events)"),
    ({"min_value": 1}, {"value": 0.99}, "min_value of value", "no value below 1.0, got 1 of 40 events"),
    ({"max_value": 5}, {"value": 77123.0}, "max_value of value", "no value above 5.0, got 1 of 40 events"),
    ({}, {"weight": -1.0}, "min_weight of weight", "no weight below 0, got 1 of 40 events"),
    ({}, {"event_type": SECRET}, "event_types of event_type", TYPES),
    ({}, {"event_type": None}, "event_types of event_type", TYPES),
    ({}, {"timestamp": LATER},
     "not_after_as_of of timestamp", "no event after the end of 2026-03-09, got 1 of 40 events"),
    ({}, {"event_date": LATER.date()},
     "not_after_as_of of event_date", "no day after 2026-03-09, got 2026-03-10 as the last day"),
    ({"min_volume_ratio": 1.01}, {}, "volume of event_date", f"1.01 to 20 {EARLIER_DAYS}"),
    ({"max_volume_ratio": 0.5}, {}, "volume of event_date", f"0.05 to 0.5 {EARLIER_DAYS}"),
    ({"max_duplicate_share": 0.03}, {},
     "max_duplicate_share", "at most 3% of the rows read exact duplicates, got 4% (2 of 50)"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "change", "which", "expected"), ALONE)
def test_each_expectation_fails_alone_and_says_which(gate, settings, change, which, expected):
    rows = history()
    rows[0] |= change  # one event of an earlier day
    error, lines = refused(gate, rows, settings=configuration(**settings))
    assert lines == [f"{which}: expected {expected}"]
    failed = [one for one in error.checks if not one.passed]
    assert [one.check for one in failed] == [which.split(" of ")[0]]
    assert not change or failed[0].rows_failed == 1
    pages = "".join(page.read_text() for page in error.index.parent.rglob("*.html"))
    assert SECRET not in pages
    assert "77123" not in pages


def test_a_date_without_events_is_refused_unless_allowed(gate):
    error, lines = refused(gate, history(today=0))
    assert lines == [
        "events_on_as_of of event_date: expected events on 2026-03-09 itself "
        "(gate.require_events_on_as_of), got none"
    ]
    volume = next(check for check in error.checks if check.check == "volume")
    assert (volume.passed, volume.observed) == (True, "not compared: no events on 2026-03-09")
    checks = gate(history(today=0), settings=configuration(require_events_on_as_of=False))
    assert "events_on_as_of" not in {check.check for check in checks}


def test_the_first_day_has_no_history_to_be_compared_with(gate):
    checks = gate([event(number, AS_OF) for number in range(10)])
    assert (
        Check(
            "volume",
            "event_date",
            "not compared: not enough history, no day with events before 2026-03-09",
            "0.05 to 20 times the median of earlier days",
            True,
            0,
        )
        in checks
    )


def test_volume_is_compared_with_the_last_days_that_have_events(gate):
    sizes = {date(2025, 6, 2): 90, date(2026, 3, 4): 4, date(2026, 3, 5): 2, date(2026, 3, 6): 8}
    rows = [event(number, day) for day, size in sizes.items() for number in range(size)]
    rows += [event(number, AS_OF) for number in range(6)]
    for days, ratio in ((1, "0.75"), (2, "1.2"), (3, "1.5"), (4, "1"), (7, "1")):
        checks = gate(rows, settings=configuration(volume_days=days))
        assert next(check.observed for check in checks if check.check == "volume") == ratio


def test_a_full_quarantine_names_its_rules_and_an_example_of_each(gate):
    counts = Counts(
        read=100,
        accepted=55,
        excluded=30,
        quarantined=15,
        rules={"bots": 30, "user_missing": 2, "item_missing": 9, "too_few_fields": 3, "odd": 1},
    )
    error, lines = refused(
        gate,
        counts=counts,
        settings=configuration(max_quarantined_share=0.08),
        examples=lambda: {"item_missing": "logs/a.csv:17", "user_missing": "logs/b.csv:2", "odd": "c.csv:3"},
    )
    assert lines == [
        "max_quarantined_share: expected at most 8% of the rows read in quarantine, got 15% (15 of 100); "
        "most frequent: item_missing 9 (such as logs/a.csv:17), too_few_fields 3, "
        "user_missing 2 (such as logs/b.csv:2)"
    ]
    rules = {check.check: check.passed for check in error.checks if check.column == "quarantine"}
    assert rules == {"item_missing": False, "odd": True, "too_few_fields": True, "user_missing": True}


def test_timestamps_of_another_unit_get_a_hint(gate):
    counts = Counts(read=100, accepted=2, quarantined=98, rules={"timestamp_out_of_range": 98})
    _, lines = refused(gate, [], counts=counts)
    assert [line.split(":")[0] for line in lines] == [
        "events_on_as_of of event_date", "max_quarantined_share", "min_events", "min_items", "min_users",
    ]  # fmt: skip
    assert "is source.timestamp_format = 'epoch_s' right? Known: iso, epoch_s, epoch_ms" in lines[1]


def test_a_bad_night_is_seen_beside_a_long_history(gate):
    arrived = Counts(read=10, accepted=4, quarantined=6, rules={"user_missing": 6})
    total = Counts(read=10_000, accepted=9_990, quarantined=10, rules={"user_missing": 10})
    _, lines = refused(gate, counts=total, arrived=arrived)
    assert lines == [
        "max_quarantined_share of arrived: expected at most 20% of the rows that arrived for the date "
        "in quarantine, got 60% (6 of 10); most frequent: user_missing 6"
    ]
    assert len(gate(arrived=COUNTS)) == len(gate())  # one and the same account is judged once


def test_the_end_of_the_date_is_midnight_in_the_time_zone_of_the_source(gate):
    source = configuration().source.model_copy(update={"time_zone": "Asia/Tokyo"})
    tokyo = configuration().model_copy(update={"source": source})
    rows = history()
    rows[-1] |= {"timestamp": datetime.fromisoformat("2026-03-09T14:59:59")}  # Tokyo's day ends at 15:00 UTC
    gate(rows, settings=tokyo)
    rows[-1] |= {"timestamp": datetime.fromisoformat("2026-03-09T15:00")}
    assert len(refused(gate, rows, settings=tokyo)[1]) == 1


def test_a_gate_that_does_not_fit_the_interactions_is_a_mistake_of_the_configuration(gate):
    with pytest.raises(ConfigurationError, match=r"unknown column 'contry'; known: country, event_date"):
        gate(settings=configuration(max_null_share={"contry": 0.1}))
    bare = {"source": {"path": "logs", "columns": {"user": "u", "item": "i", "timestamp": "t"}}}
    settings = Configuration.model_validate(bare | {"gate": {"min_value": 1}})
    with pytest.raises(ConfigurationError, match=r"gate.min_value and gate.max_value need"):
        gate(settings=settings)
    checks = gate(settings=Configuration.model_validate(bare))
    assert not {"event_types", "min_weight", "min_value"} & {check.check for check in checks}


def test_the_pages_show_the_suites_and_need_no_network(gate, tmp_path):
    checks = gate()
    site = tmp_path / "docs"
    index = (site / "index.html").read_text()
    assert f"none of {len(checks)} checks failed" in index
    pages = {page.relative_to(site).as_posix(): page.read_text() for page in site.rglob("*.html")}
    for asset in ("profile", "row_rules", "days", "event_types"):
        assert f"nightshelf_{asset}" in pages[f"expectations/nightshelf_{asset}.html"]
        assert any(name.startswith(f"validations/nightshelf_{asset}/2026-03-09/") for name in pages)
    for name, page in pages.items():
        assert name == "index.html" or f'href="{name}"' in index
        assert "default-src 'none'" in page
        assert not {"<script", "<link", "<img", "url("} & set(page.split()), name
        assert "https://" not in page.replace('href="https://greatexpectations.io"', ""), name
        assert SECRET not in page
    profile = next(page for name, page in pages.items() if name.startswith("validations/nightshelf_profile"))
    assert "min_events: at least 1 events up to 2026-03-09" in profile


def test_a_resumed_gate_writes_the_same_pages_again(gate, tmp_path):
    gate()
    before = {page.relative_to(tmp_path) for page in (tmp_path / "docs").rglob("*")}
    gate()
    assert {page.relative_to(tmp_path) for page in (tmp_path / "docs").rglob("*")} == before


def test_nothing_is_printed_sent_or_left_behind(gate, tmp_path, monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("the gate opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    refused(gate, history(today=0))
    assert list(elsewhere.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_importing_the_station_does_not_import_great_expectations():
    code = "import sys, tasks.validation_results; print('great_expectations' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.spark
def test_spark_makes_the_same_profile(spark_engine, duckdb_engine):
    rows = history()
    rows[0] |= {"value": 0.5, "weight": -1.0, "event_type": None, "country": "É"}
    rows[1] |= {"event_type": "zz", "value": None, "timestamp": datetime.fromisoformat("2026-03-10")}
    events = pa.Table.from_pylist(rows, schema=SCHEMA)
    utc = events.set_column(2, "timestamp", events["timestamp"].cast(pa.timestamp("us", "UTC")))
    settings = configuration(max_null_share={"country": 0.5, "value": 0}, min_value=1, max_value=4.5)
    duckdb_engine.table("events", events)
    spark_engine.table("events", utc)
    profile = make_profile(settings, duckdb_engine, AS_OF)
    assert make_profile(settings, spark_engine, AS_OF) == profile
    assert profile.figures["value_low"] == profile.figures["late"] == profile.figures["nulls_value"] == 1
    assert profile.event_types == {"": 1, "view": 38, "zz": 1}


def two_nights(tmp_path, engine) -> tuple[Configuration, Ledger]:
    """Take in two nights of logs: one row of the first breaks a rule, three of the second do."""
    logs = tmp_path / "logs"
    logs.mkdir()
    settings = Configuration.model_validate(
        {
            "source": {
                "path": str(logs),
                "file_date": "%Y-%m-%d.csv",
                "columns": {"user": "user", "item": "item", "timestamp": "time"},
            },
            "gate": {"max_quarantined_share": 0.4},
        }
    )
    texts = {
        date(2026, 3, 8): ["a,x,2026-03-08T10:00", ",x,2026-03-08T10:00", "b,y,2026-03-08T11:00"],
        AS_OF: ["a,y,2026-03-09T10:00", "b,z,whenever", ",z,2026-03-09T10:00", "b,z,2026-03-09T10:00", "c"],
    }
    store = Store(tmp_path / "store").create()
    for day, lines in texts.items():
        (logs / f"{day}.csv").write_text("\n".join(["user,item,time", *lines, ""]))
        ingest(settings, store, engine, day)
    return settings, Ledger.read(store)


def judged(tmp_path, settings, ledger, engine) -> tuple[dict[str, str], str]:
    """Return an example of each rule, and the gate's veto of the second night."""
    make_events(settings, ledger, engine, AS_OF)
    with pytest.raises(GateClosedError) as caught:
        validate(
            settings,
            engine,
            ledger.counts(),
            AS_OF,
            tmp_path / "docs",
            arrived=ledger.about(AS_OF),
            examples=lambda: quarantine_examples(ledger, engine),
        )
    return quarantine_examples(ledger, engine), str(caught.value)


def test_logs_taken_in_are_judged_with_the_night_and_an_example(tmp_path, duckdb_engine):
    settings, ledger = two_nights(tmp_path, duckdb_engine)
    arrived = ledger.about(AS_OF)
    assert (arrived.read, arrived.accepted, arrived.quarantined) == (5, 2, 3)
    examples, message = judged(tmp_path, settings, ledger, duckdb_engine)
    newest = str(tmp_path / "logs" / "2026-03-09.csv")
    assert len(examples) == 3
    assert examples["timestamp_unreadable"] == f"{newest}:3"
    assert examples["user_missing"] == f"{newest}:4"
    assert "got 50% (4 of 8); most frequent: user_missing 2 (such as " in message
    assert "max_quarantined_share of arrived" in message
    assert "got 60% (3 of 5); most frequent: " in message


@pytest.mark.spark
def test_spark_judges_a_store_alike(tmp_path, spark_engine, duckdb_engine):
    settings, ledger = two_nights(tmp_path, duckdb_engine)
    expected = judged(tmp_path, settings, ledger, duckdb_engine)
    assert judged(tmp_path, settings, ledger, spark_engine) == expected
