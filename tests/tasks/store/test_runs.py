"""Records of runs: read as 0.1 wrote them and as they are written now, damaged ones left out."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tasks.monitoring.metrics_file import metrics_text
from tasks.monitoring.status import store_status
from tasks.report.markdown import night_page
from tasks.report.paths import find_report
from tasks.runtime.errors import StoreError
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder
from tasks.store.runs import (
    RunRecord,
    Station,
    kind_and_model,
    last_night,
    last_run,
    measured_metrics,
    new_run,
    prune,
    read_record,
    read_records,
    station_name,
)

DAY = dt.date(2026, 3, 2)
METRIC = {"model": "als", "split": "temporal", "metric": "ndcg", "k": 10, "value": 0.5, "users": 3}
COUNTS = {"read": 1, "accepted": 1, "excluded": 0, "quarantined": 0, "duplicates": 0, "rules": {}}
OF_0_1: dict[str, Any] = {
    "run_id": "20260303T023000Z",
    "as_of": "2026-03-02",
    "started_at": "2026-03-03T02:30:00+00:00",
    "finished_at": "2026-03-03T02:31:00+00:00",
    "state": "failed",
    "message": "a defect",
    "release_id": None,
    "warnings": [],
    "stations": [
        {
            "name": "interactions",
            "rows": 1,
            "seconds": 0.5,
            "peak_memory": 1024,
            "facts": {"arrived": COUNTS, "total": COUNTS, "exclude_rules": [], "last_ingest": "000001"},
        },
        {
            "name": "measure als",
            "rows": 3,
            "seconds": 1.5,
            "peak_memory": 2048,
            "facts": {"device": "cpu", "threads": None, "metrics": [METRIC]},
        },
        {"name": "measure ease", "rows": None, "seconds": 0.0, "peak_memory": 0, "facts": {"failed": "no"}},
        {
            "name": "quality",
            "rows": 1,
            "seconds": 0.1,
            "peak_memory": 1024,
            "facts": {"compared_with": "2026-03-01-20260302T023000Z"},
        },
    ],
    "purpose": "night",
    "configuration": "0123456789abcdef",
    "replace_changed": False,
    "rebuild": False,
    "ingests_before": 0,
    "resumed_at": [],
    "quality": [{"check": "coverage", "observed": "0.5", "bound": "", "passed": True, "value": 0.5}],
    "override": {},
}
"""A record as 0.1 wrote it: each station has one name, and the gate's answer is a fact of its station."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").create()


@pytest.fixture
def old(store: Store) -> Path:
    """Return the record of 0.1 in a store."""
    path = RunFolder(store, DAY, OF_0_1["run_id"]).record
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(OF_0_1), encoding="utf-8")
    return path


def test_a_record_of_0_1_is_read_as_one_of_today(old: Path) -> None:
    record = read_record(old)
    assert [(station.kind, station.model) for station in record.stations] == [
        ("interactions", None),
        ("measure", "als"),
        ("measure", "ease"),
        ("quality", None),
    ]
    assert [station.name for station in record.stations] == [one["name"] for one in OF_0_1["stations"]]
    assert record.compared_with == "2026-03-01-20260302T023000Z"
    assert record.station("measure", "als").seconds == 1.5
    assert not record.finished("measure")
    assert record.failed_models == {"ease"}
    assert measured_metrics(record) == [METRIC]


def test_a_record_of_0_1_is_written_as_one_of_today(store: Store, old: Path) -> None:
    record = read_record(old)
    record.save(store)
    written = json.loads(old.read_text(encoding="utf-8"))
    assert written["stations"][1]["kind"] == "measure"
    assert written["stations"][1]["model"] == "als"
    assert "name" not in written["stations"][1]
    assert written["compared_with"] == "2026-03-01-20260302T023000Z"
    assert read_record(old) == record


def test_status_page_and_figures_read_a_record_of_0_1(store: Store, old: Path) -> None:
    run = store_status(store)["last_run"]
    assert run["state"] == "failed"
    assert run["stations"][1] == {
        "name": "measure als",
        "kind": "measure",
        "model": "als",
        "rows": 3,
        "seconds": 1.5,
        "peak_memory": 2048,
    }
    page = night_page(store, read_record(old))
    assert "| measure als | 3 | 1.5 | 2.0 KiB | cpu |" in page
    assert "| compared with | 2026-03-01-20260302T023000Z |" in page
    assert 'station="measure als"' in metrics_text(store)


@pytest.mark.parametrize(
    "change",
    [
        {"stations": 7},
        {"stations": [7]},
        {"stations": [{"name": 7}]},
        {"stations": [{"name": "dataset"}]},
        {"stations": [{"name": "dataset", "kind": "dataset", "seconds": 0, "peak_memory": 0}]},
        {"stations": [{"name": "dataset", "seconds": 0, "peak_memory": 0, "facts": 7}]},
        {"as_of": "yesterday"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_what_is_no_record_is_said_and_left_out(store: Store, old: Path, change: dict[str, Any]) -> None:
    old.write_text(json.dumps(OF_0_1 | change), encoding="utf-8")
    (key,) = change
    with pytest.raises(StoreError, match=rf"expected the record of a run in {old}; {key}(\.[\w.]+)?: .+$"):
        read_record(old)
    for reader in (last_run, find_report, lambda store: last_night(store, DAY)):
        with pytest.raises(StoreError):
            reader(store)
    assert read_records(store) == []
    assert store_status(store)["last_run"]["state"] == "unreadable"


@pytest.mark.parametrize(("kind", "model"), [("dataset", None), ("train", "als"), ("measure", "mult_vae")])
def test_a_stations_name_gives_back_its_kind_and_model(kind: str, model: str | None) -> None:
    assert kind_and_model(station_name(kind, model)) == (kind, model)


def test_runs_of_one_second_have_ids_of_their_own_and_sort(store: Store) -> None:
    runs = [new_run(store, DAY + dt.timedelta(days=n)) for n in range(3)]
    assert len({run.run_id for run in runs}) == 3
    assert read_records(store) == sorted(runs, key=lambda run: run.run_id)
    assert read_records(store, DAY) == runs[:1]
    assert last_run(store) == read_records(store)[-1]


def test_the_last_night_is_no_evaluation(store: Store) -> None:
    station = Station(kind="dataset", seconds=0.0, peak_memory=0)
    moment = "2026-03-03T02:30:00+00:00"
    night = RunRecord(run_id="r1", as_of=DAY, started_at=moment, stations=[station])
    night.save(store)
    RunRecord(run_id="r2", as_of=DAY, started_at=moment, purpose="evaluation").save(store)
    assert last_night(store, DAY) == night
    assert last_night(store, DAY + dt.timedelta(days=1)) is None


def test_runs_beyond_the_last_are_removed_and_what_is_no_run_stays(store: Store) -> None:
    runs = [new_run(store, DAY + dt.timedelta(days=n)).folder(store).root for n in range(3)]
    for path in (runs[0].parent / "notes.txt", runs[1].parent / "notes.txt"):
        path.touch()
    began = sorted(runs, key=lambda folder: folder.name)
    assert prune(store, 1) == began[:2]
    assert [path for path in runs if path.exists()] == began[2:]
    assert (runs[0].parent / "notes.txt").exists()
