"""A configuration tried on rows: the counts are those of an ingest, and nothing is stored."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from tasks.configuration.configuration import Configuration
from tasks.interactions.ingest import ingest
from tasks.proposal.trial import Trial, try_rows
from tasks.runtime.errors import InputError
from tasks.sources.discovery import discover
from tasks.store.layout import Store

ROWS = """user,item,time,kind
u1,i1,2026-11-30T10:00:00Z,view
u1,i1,2026-11-30T10:00:00Z,view
u2,,2026-11-30T10:00:00Z,view
u3,i3,yesterday,view
u4,i4,2026-11-30T10:00:00Z,swim
u5,i5,2026-11-30T10:00:00Z
bot,i6,2026-11-30T10:00:00Z,view
u7,i7,2026-12-02T10:00:00Z,view
"""
COLUMNS = {"user": "user", "item": "item", "timestamp": "time", "event_type": "kind"}


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "2026-11-30.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    source = {
        "path": str(tmp_path / "logs"),
        "file_date": "%Y-%m-%d",
        "columns": COLUMNS,
        "event_weights": {"view": 1},
        "exclude": [{"name": "bots", "where": "user_id = 'bot'"}],
    }
    content = {"source": source, "store": {"path": tmp_path / "store"}, "engine": {"name": "spark"}}
    return Configuration.model_validate(content)


def tried(configuration: Configuration, scratch: Path) -> Trial:
    source = configuration.sources[0]
    return try_rows(configuration, source, discover(source, date.max).files, scratch)


def test_a_trial_counts_what_an_ingest_counts(
    configuration: Configuration, tmp_path: Path, duckdb_engine
) -> None:
    trial = tried(configuration, tmp_path / "scratch")
    assert not (tmp_path / "store").exists()
    counts = ingest(
        configuration, Store(tmp_path / "store").create(), duckdb_engine, date(2026, 11, 30)
    ).counts
    assert (trial.rows, trial.accepted, trial.quarantined) == (
        counts.read,
        counts.accepted,
        counts.quarantined,
    )
    assert trial.others == {
        **dict.fromkeys(["duplicate", "event_type_unknown", "excluded", "item_missing", "ragged_line"], 1),
        "timestamp_after_file": 1,
        "timestamp_unreadable": 1,
    }
    assert str(trial).startswith("1 of 8 rows would be accepted; duplicate 1, ")
    assert trial.last_day == date(2026, 11, 30)
    assert [row.line for row in trial.first] == list(range(2, 10))
    assert [row.outcome for row in trial.first[:3]] == ["accepted", "duplicate", "quarantined: item_missing"]


def test_a_file_that_an_ingest_would_refuse_is_one_message(
    configuration: Configuration, tmp_path: Path
) -> None:
    (tmp_path / "logs" / "2026-11-30.csv.gz").write_bytes(gzip.compress(b"who,item,time,kind\n1,2,3,4\n"))
    with pytest.raises(InputError, match="expected column 'user'; known: who, item"):
        tried(configuration, tmp_path / "scratch")
