"""Whole nights without Prefect: what is published, what a second one does, what a bad one leaves alone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from worlds.night_world import (
    FIRST,
    QUICK,
    SECOND,
    STATIONS,
    TABLES,
    THIRD,
    Night,
    failing_at,
    shop,
    write_logs,
)

from flows.night.run import evaluate_only, ingest_only, run_night
from tasks.interactions.ledger import Ledger
from tasks.release.publish import rollback
from tasks.runtime.errors import InputError, StoreLockedError, ValidationFailedError
from tasks.store.runs import measured_metrics, new_run

FEW: dict[str, Any] = {"train__models": ["popularity"]}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a store after the nights of the first two days, of logs that go on for two more."""
    folder = tmp_path_factory.mktemp("nights")
    night = shop(folder, write_logs(folder / "logs"))
    for day in (FIRST, SECOND):
        run_night(night.configured(), day)
    return night


@pytest.fixture
def night(nights: Night, tmp_path: Path) -> Night:
    """Return a copy of that store, to do with as one likes."""
    return nights.copy(tmp_path / "shop")


def rows(night: Night, release_id: str, sql: str) -> list[Any]:
    """Answer a query over the tables of a release and the logs' own files."""
    with duckdb.connect() as con:
        for table in TABLES:
            path = night.store.release(release_id) / f"{table}.parquet"
            con.execute(f"CREATE VIEW {table} AS FROM read_parquet('{path}')")
        return con.sql(sql).fetchall()


@contextmanager
def unchanged(night: Night) -> Iterator[None]:
    """Expect that readers see what they saw before: pointer, releases, bytes of the tables."""
    before = night.pointed(), night.published(), night.hashes(str(night.pointed()))
    yield
    assert (night.pointed(), night.published(), night.hashes(str(night.pointed()))) == before


def test_a_night_publishes_all_tables_and_records_every_station(nights: Night) -> None:
    record = nights.records()[-1]
    assert (record.state, record.message, record.warnings) == ("published", "", [])
    assert [station.name for station in record.stations] == STATIONS
    assert all(station.seconds >= 0 and station.peak_memory > 2**20 for station in record.stations)
    assert record.release_id == nights.pointed() == f"{SECOND}-{record.run_id}"
    assert set(nights.hashes(nights.pointed())) == set(TABLES)
    assert nights.scratch() == []
    total = record.station("interactions").facts["total"]
    assert total["read"] == sum(total[name] for name in ("accepted", "excluded", "quarantined", "duplicates"))
    assert (record.folder(nights.store).data_docs / "index.html").is_file()


def test_every_user_has_n_items_and_every_item_its_neighbours(nights: Night) -> None:
    users, lists, shortest, distinct = rows(
        nights,
        nights.pointed(),
        "SELECT count(*), sum(n), min(n), min(d) FROM "
        "(SELECT count(*) AS n, count(DISTINCT item_id) AS d FROM recommendations GROUP BY user_id)",
    )[0]
    assert (lists, shortest, distinct) == (6 * users, 6, 6)
    facts = nights.records()[-1].station("dataset").facts
    assert users == facts["users"]
    similar = rows(nights, nights.pointed(), "SELECT count(DISTINCT item_id) FROM similar_items")
    assert similar == [(facts["items"],)]


def test_a_second_night_takes_in_only_the_new_day(nights: Night) -> None:
    first, second = (record.station("interactions").facts for record in nights.records())
    assert (first["files_taken"], first["files_known"]) == (1, 0)
    assert (second["files_taken"], second["files_known"]) == (1, 1)
    assert second["total"]["read"] == first["total"]["read"] + second["arrived"]["read"]


def test_what_exists_only_after_the_date_changes_no_table_and_no_metric(
    nights: Night, tmp_path: Path
) -> None:
    """Two days more of logs, with users and items of their own, and a catalogue of such items."""
    later = tmp_path / "logs"
    shutil.copytree(nights.logs, later)
    day = sorted(later.glob("events-*.csv"))[-1]
    head, *lines = day.read_text(encoding="utf-8").splitlines()
    user, item = (head.split(",").index(name) for name in ("user_id", "item_id"))
    new = []
    for number, fields in enumerate(line.split(",") for line in lines if line.count(",") == head.count(",")):
        fields[user], fields[item] = f"later-user-{number % 50}", f"later-item-{number % 30}"
        new.append(",".join(fields))
    assert len(new) > 100
    day.write_text("\n".join([head, *lines, *new]) + "\n", encoding="utf-8")
    titles = (later / "items.csv").read_text(encoding="utf-8").splitlines()
    place, one = titles[0].split(",").index("item_id"), titles[1].split(",")
    with (later / "items.csv").open("a", encoding="utf-8") as catalogue:
        for number in range(30):
            one[place] = f"later-item-{number}"
            catalogue.write(",".join(one) + "\n")
    other = shop(tmp_path / "shop", later)
    for date in (FIRST, SECOND):
        run_night(other.configured(), date)
    assert other.hashes(str(other.pointed())) == nights.hashes(str(nights.pointed()))
    assert measured_metrics(other.records()[-1]) == measured_metrics(nights.records()[-1])


def test_nothing_after_the_date_is_used(nights: Night) -> None:
    reading = "all_varchar = true, ignore_errors = true, null_padding = true"
    counted = f"SELECT DISTINCT item_id FROM read_csv('{{}}', {reading})"
    logs = sorted(nights.logs.glob("events-*.csv"))
    seen = {item for log in logs[:2] for (item,) in duckdb.sql(counted.format(log)).fetchall() if item}
    later = {
        item for log in logs[2:] for (item,) in duckdb.sql(counted.format(log)).fetchall() if item
    } - seen
    assert later
    named = rows(
        nights,
        nights.pointed(),
        "SELECT item_id FROM recommendations UNION SELECT similar_item_id FROM similar_items "
        "UNION SELECT item_id FROM similar_items UNION SELECT item_id FROM popular_items",
    )
    assert not later & {item for (item,) in named}


def test_the_same_date_twice_gives_the_same_bytes(night: Night) -> None:
    before = night.pointed()
    again = run_night(night.configured(), SECOND)
    assert again.release_id == night.pointed() != before
    assert again.station("interactions").facts["files_taken"] == 0
    assert night.hashes(again.release_id) == night.hashes(before)


def test_one_run_from_nothing_gives_the_same_lists_as_night_after_night(
    nights: Night, tmp_path: Path
) -> None:
    fresh = shop(tmp_path, nights.logs)
    record = run_night(fresh.configured(), SECOND)
    ours, theirs = fresh.hashes(record.release_id), nights.hashes(nights.pointed())
    differing = {table for table in TABLES if ours[table] != theirs[table]}
    assert differing <= {"validation_results"}  # which tells what arrived for the date from what was there


def test_a_backfill_publishes_and_leaves_readers_where_they_are(night: Night) -> None:
    run_night(night.configured(**QUICK), THIRD)
    pointed = night.pointed()
    late = run_night(night.configured(), FIRST)
    assert night.pointed() == pointed
    assert late.release_id in night.published()
    assert late.station("release").facts["active"] is False
    assert (
        night.hashes(late.release_id)["recommendations"]
        == night.hashes(next(name for name in night.published() if name.startswith(str(FIRST))))[
            "recommendations"
        ]
    )


def test_a_closed_gate_stops_before_training_and_leaves_yesterday(night: Night) -> None:
    with unchanged(night), pytest.raises(ValidationFailedError, match=r"min_events.*100000|100,000"):
        run_night(night.configured(gate__min_events=100_000), THIRD)
    record = night.records()[-1]
    assert record.state == "failed"
    assert "100,000" in record.message
    assert [station.name for station in record.stations] == ["interactions"]
    folder = record.folder(night.store)
    assert (folder.staging / "validation_results.parquet").is_file()
    assert (folder.data_docs / "index.html").is_file()
    assert not folder.models.exists()
    assert night.scratch() == []


@pytest.mark.parametrize("station", ["interactions", "popular_items", "train popularity", "similar_items"])
def test_a_station_that_raises_leaves_yesterday_and_says_why(night: Night, station: str) -> None:
    with unchanged(night), pytest.raises(ZeroDivisionError):
        run_night(night.configured(), THIRD, step=failing_at(station, ZeroDivisionError("a defect")))
    record = night.records()[-1]
    assert (record.state, record.message, record.release_id) == ("failed", "a defect", None)
    assert [done.name for done in record.stations] == STATIONS[: STATIONS.index(station)]
    assert night.scratch() == []
    assert run_night(night.configured(**QUICK), THIRD).release_id == night.pointed()


def test_a_library_cannot_end_the_night_in_silence(night: Night) -> None:
    def ending(name: str, work: Any) -> Any:
        guard, (store, _) = work.func, work.args  # the station is replaced inside its guard
        return guard(store, lambda: sys.exit(0)) if name == "dataset" else work()

    with unchanged(night), pytest.raises(RuntimeError, match="ended the program with exit code 0"):
        run_night(night.configured(), THIRD, step=ending)
    assert night.records()[-1].state == "failed"


def test_ctrl_c_is_recorded_and_releases_the_store(night: Night) -> None:
    with unchanged(night), pytest.raises(KeyboardInterrupt):
        run_night(night.configured(), THIRD, step=failing_at("dataset", KeyboardInterrupt()))
    assert night.records()[-1].message == "KeyboardInterrupt"
    with night.store.lock("afterwards"):
        assert night.scratch() == []


def test_a_second_run_for_a_date_is_refused_and_told_who_runs_it(night: Night) -> None:
    with unchanged(night), night.store.date_lock(THIRD, "run for that day"):
        for second in (run_night, evaluate_only):
            wanted = rf"the date {THIRD} of the store .* is locked by pid {os.getpid()} .*run for that day"
            with pytest.raises(StoreLockedError, match=wanted):
                second(night.configured(), THIRD)
    assert len(night.records()) == 2


def test_a_night_waits_for_another_writer_and_says_for_whom(night: Night) -> None:
    told: list[str] = []
    held = ExitStack()
    held.enter_context(night.store.lock("taking in a long log"))

    def report(doing: str, done: float, of: float) -> None:
        if doing.startswith("waiting: "):
            told.append(doing)
            held.close()

    assert run_night(night.configured(**QUICK), THIRD, report=report).state == "published"
    assert len(told) == 1
    assert f"pid {os.getpid()} on " in told[0]
    assert "(taking in a long log)" in told[0]


def test_a_night_does_not_see_what_another_takes_in_meanwhile(night: Night, tmp_path: Path) -> None:
    alone, ran = night.copy(tmp_path / "alone"), run_night(night.configured(**QUICK), SECOND)
    wanted = night.hashes(str(ran.release_id))

    def meanwhile(name: str, station: Any) -> Any:
        if name == "validation_results":
            assert ingest_only(alone.configured(), THIRD + timedelta(days=1)).taken == 2
        return station()

    record = run_night(alone.configured(**QUICK), SECOND, step=meanwhile)
    assert alone.hashes(str(record.release_id)) == wanted


def test_files_are_not_replaced_under_a_run_that_reads_them(night: Night) -> None:
    with night.store.date_lock(SECOND, "run for the second"):
        with pytest.raises(StoreLockedError, match=rf"read by runs for {SECOND} by pid {os.getpid()} "):
            ingest_only(night.configured(), THIRD, rebuild=True)
        assert ingest_only(night.configured(), THIRD).taken == 1
    assert ingest_only(night.configured(), THIRD, rebuild=True).taken == 3


def test_what_others_at_work_hold_is_neither_buried_nor_removed(night: Night) -> None:
    alive = new_run(night.store, FIRST)
    scratch = alive.folder(night.store).root / ".engine-0badcafe"
    scratch.mkdir()
    with night.store.date_lock(FIRST, "run for the first"):
        evaluate_only(night.configured(store__keep_runs=1, **FEW), THIRD)
        assert scratch.is_dir()
        assert alive.run_id in {one.run_id for one in night.records() if one.state == "running"}
    evaluate_only(night.configured(store__keep_runs=1, **FEW), THIRD)
    assert not scratch.exists()


def test_readers_can_go_back_a_night_and_the_next_night_goes_on(night: Night) -> None:
    yesterday = next(name for name in night.published() if name.startswith(str(FIRST)))
    assert rollback(night.store).release_id == night.pointed() == yesterday
    assert run_night(night.configured(**QUICK), THIRD).release_id == night.pointed()
    assert rollback(night.store).release_id == yesterday


def test_evaluating_and_taking_in_publish_nothing(night: Night) -> None:
    with unchanged(night):
        record = evaluate_only(night.configured(), THIRD)
        done = ingest_only(night.configured(), THIRD)
    assert record.state == "measured"
    assert [station.name for station in record.stations] == STATIONS[: STATIONS.index("train popularity")]
    assert (done.taken, done.known) == (0, 3)
    assert done.total == Ledger.read(night.store).counts()


def test_the_last_runs_are_kept_whatever_became_of_them(night: Night) -> None:
    dead = new_run(night.store, FIRST)  # a process that died left it running, and its engine's scratch
    left = night.store.runs / ".engine-0badcafe"
    (left / "spill").mkdir(parents=True)
    evaluate_only(night.configured(store__keep_runs=3, **FEW), SECOND)
    states = {record.run_id: record.state for record in night.records()}
    assert len(states) == 3
    assert states[dead.run_id] == "interrupted"
    assert list(states.values())[-1] == "measured"
    assert night.scratch() == []
    with pytest.raises(ValidationFailedError):
        run_night(night.configured(store__keep_runs=1, gate__min_events=100_000), SECOND)
    assert [record.state for record in night.records()] == ["failed"]
    assert not list(night.store.runs.glob(f"{FIRST}"))  # no empty folder of a date either


def test_a_damaged_record_of_an_old_run_stops_nothing(night: Night) -> None:
    old = night.store.runs / str(FIRST) / "20000101T000000Z"
    old.mkdir()
    (old / "run.json").write_text("{")
    ingest_only(night.configured(), THIRD)
    evaluate_only(night.configured(store__keep_runs=1, **FEW), THIRD)
    assert not old.exists()


def test_a_changed_file_is_refused_until_asked_for(night: Night, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(night.logs, logs)
    moved = shop(tmp_path / "moved", logs)
    assert ingest_only(moved.configured(), SECOND).taken == 2
    changed = logs / f"events-{SECOND}.csv"
    lines = changed.read_text(encoding="utf-8").splitlines(keepends=True)
    changed.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match="changed since it was taken in"):
        ingest_only(moved.configured(), SECOND)
    assert ingest_only(moved.configured(), SECOND, replace_changed=True).counts.read > 0
