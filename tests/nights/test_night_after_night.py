"""Whole nights without Prefect: what they publish, what they may use, and what a second adds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
from worlds.night_world import (
    FIRST,
    QUICK,
    SECOND,
    STATIONS,
    TABLES,
    THIRD,
    Night,
    shop,
    unchanged,
)

from flows.night.run import evaluate_only, ingest_only, run_night
from tasks.interactions.ledger import Ledger
from tasks.release.publish import rollback
from tasks.store.runs import measured_metrics

JUDGED = "SELECT DISTINCT as_of, scored_as_of, first_date FROM release_scores ORDER BY as_of"


def rows(night: Night, release_id: str, sql: str) -> list[Any]:
    """Answer a query over the tables of a release and the log files."""
    with duckdb.connect() as con:
        for table in TABLES:
            path = night.store.release(release_id) / f"{table}.parquet"
            con.execute(f"CREATE VIEW {table} AS FROM read_parquet('{path}')")
        return con.sql(sql).fetchall()


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
    assert not record.folder(nights.store).data_docs.exists()  # [report] enabled = false


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
    assert facts["freshness"]["events"] > 0
    similar = rows(nights, nights.pointed(), "SELECT count(DISTINCT item_id) FROM similar_items")
    assert similar == [(facts["items"],)]


def test_a_second_night_ingests_only_the_new_day(nights: Night) -> None:
    first, second = (record.station("interactions").facts for record in nights.records())
    assert (first["files_taken"], first["files_known"]) == (1, 0)
    assert (second["files_taken"], second["files_known"]) == (1, 1)
    assert second["total"]["read"] == first["total"]["read"] + second["arrived"]["read"]


def test_later_logs_and_catalogues_change_no_table_and_no_metric(nights: Night, tmp_path: Path) -> None:
    """The logs gain two days with new users and items, and a catalogue of these items."""
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
    column, fields = titles[0].split(",").index("item_id"), titles[1].split(",")
    with (later / "items.csv").open("a", encoding="utf-8") as catalogue:
        for number in range(30):
            fields[column] = f"later-item-{number}"
            catalogue.write(",".join(fields) + "\n")
    later_shop = shop(tmp_path / "shop", later)
    for date in (FIRST, SECOND):
        run_night(later_shop.configured(), date)
    assert later_shop.hashes(str(later_shop.pointed())) == nights.hashes(str(nights.pointed()))
    assert measured_metrics(later_shop.records()[-1]) == measured_metrics(nights.records()[-1])


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


def test_a_night_judges_the_lists_that_readers_had(nights: Night) -> None:
    first, second = sorted(nights.published())
    facts = nights.records()[-1].station("release_scores").facts
    assert facts["judged"] == first
    assert str(facts["sentence"]).startswith(f"the lists of {FIRST}: ")
    assert rows(nights, first, "SELECT count(*) FROM release_scores") == [(0,)]
    days = [f"'{nights.store.root}/interactions/event_date={day}/*.parquet'" for day in (FIRST, SECOND)]
    lists = f"'{nights.store.release(first)}/recommendations.parquet'"
    counted = rows(
        nights,
        second,
        "SELECT count(*), count(l.rank), count(DISTINCT l.user_id) FROM (SELECT DISTINCT user_id, item_id "
        f"FROM {days[1]} EXCEPT SELECT user_id, item_id FROM {days[0]}) AS met "
        f"JOIN (SELECT DISTINCT user_id FROM {lists}) USING (user_id) "
        f"LEFT JOIN {lists} AS l USING (user_id, item_id)",
    )
    judged = "SELECT pairs, hits, users_hit FROM release_scores WHERE segment = 'all' AND k = 6"
    assert rows(nights, second, judged) == counted
    assert counted[0][1] > 0


def test_the_same_date_twice_gives_the_same_bytes(night: Night) -> None:
    before = night.pointed()
    repeated = run_night(night.configured(), SECOND)
    assert repeated.release_id == night.pointed() != before
    assert repeated.station("interactions").facts["files_taken"] == 0
    assert night.hashes(repeated.release_id) == night.hashes(before)


def test_one_run_from_scratch_gives_the_same_lists_as_successive_nights(
    nights: Night, tmp_path: Path
) -> None:
    fresh = shop(tmp_path, nights.logs)
    record = run_night(fresh.configured(), SECOND)
    ours, theirs = fresh.hashes(record.release_id), nights.hashes(nights.pointed())
    differing = {table for table in TABLES if ours[table] != theirs[table]}
    # one separates new rows of the date from earlier ones, the other judges what readers had
    assert differing - {"validation_results"} == {"release_scores"}


def test_a_backfill_publishes_without_moving_readers(night: Night) -> None:
    run_night(night.configured(**QUICK), THIRD)
    pointed = night.pointed()
    assert rows(night, str(pointed), JUDGED) == [(SECOND, FIRST, SECOND), (THIRD, SECOND, THIRD)]
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


def test_readers_can_roll_back_and_the_next_night_continues(night: Night) -> None:
    yesterday = next(name for name in night.published() if name.startswith(str(FIRST)))
    assert rollback(night.store).release_id == night.pointed() == yesterday
    record = run_night(night.configured(**QUICK), THIRD)
    assert record.release_id == night.pointed()
    assert record.station("release_scores").facts["judged"] == yesterday  # the second was withdrawn
    assert rows(night, record.release_id, JUDGED) == [(THIRD, FIRST, SECOND)]
    assert rollback(night.store).release_id == yesterday


def test_evaluation_and_ingest_publish_nothing(night: Night) -> None:
    with unchanged(night):
        record = evaluate_only(night.configured(), THIRD)
        ingested = ingest_only(night.configured(), THIRD)
    assert record.state == "measured"
    measuring = STATIONS[: STATIONS.index("train popularity")]
    assert [station.name for station in record.stations] == [s for s in measuring if s != "release_scores"]
    assert (ingested.ingested, ingested.known) == (0, 3)
    assert ingested.total == Ledger.read(night.store).counts()
