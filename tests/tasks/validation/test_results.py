"""The gate's results: a row per check, an error with examples, and no side effects."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import asdict
from datetime import date

import pyarrow as pa
import pytest
from worlds.gate_world import AS_OF, configuration, history, refused
from worlds.paths import IMPORTABLE

from tasks.configuration.configuration import Configuration
from tasks.interactions.events import make_events
from tasks.interactions.ingest import ingest
from tasks.interactions.ledger import Ledger
from tasks.release.tables import IdTypes, table
from tasks.store.layout import Store
from tasks.validation.checks import GateClosedError
from tasks.validation.results import quarantine_examples, validate


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
    code = "import sys, tasks.validation.results; print('great_expectations' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout == "False\n"


def two_nights(tmp_path, engine) -> tuple[Configuration, Ledger]:
    """Ingest two nights of logs: a row of the first breaks a rule, three of the second do."""
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


def gate_results(tmp_path, settings, ledger, engine) -> tuple[dict[str, str], str]:
    """Return an example of each rule, and the gate's error for the second night."""
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


def test_arrived_logs_are_checked_by_themselves_and_reported_with_an_example(tmp_path, duckdb_engine):
    settings, ledger = two_nights(tmp_path, duckdb_engine)
    arrived = ledger.about(AS_OF)
    assert (arrived.read, arrived.accepted, arrived.quarantined) == (5, 2, 3)
    examples, message = gate_results(tmp_path, settings, ledger, duckdb_engine)
    newest = str(tmp_path / "logs" / "2026-03-09.csv")
    assert len(examples) == 3
    assert examples["timestamp_unreadable"] == f"{newest}:3"
    assert examples["user_missing"] == f"{newest}:4"
    assert "got 50% (4 of 8); most frequent: user_missing 2 (such as " in message
    assert "max_quarantined_share of arrived" in message
    assert "got 60% (3 of 5); most frequent: " in message


@pytest.mark.spark
def test_spark_gives_the_same_results_for_a_store(tmp_path, spark_engine, duckdb_engine):
    settings, ledger = two_nights(tmp_path, duckdb_engine)
    expected = gate_results(tmp_path, settings, ledger, duckdb_engine)
    assert gate_results(tmp_path, settings, ledger, spark_engine) == expected
