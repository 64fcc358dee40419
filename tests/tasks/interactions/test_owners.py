"""Several sources in one store: each file is of one source, and no event is lost or counted twice."""

from __future__ import annotations

import pytest
from worlds.engines import SPARK_IN_TORTURE
from worlds.sources_world import KINDS, Sources, T, fill

from tasks.interactions.batch import BatchIngest
from tasks.interactions.ledger import Ledger
from tasks.runtime.errors import InputError

PLAIN = {"columns": {"user": "user", "item": "item", "timestamp": "time"}}
HEADER = "user,item,time"


@pytest.fixture
def shop(tmp_path, duckdb_engine):
    return Sources(tmp_path, duckdb_engine)


@SPARK_IN_TORTURE
def test_sources_of_three_formats_have_one_account_and_one_each(tmp_path, engine):
    shop = Sources(tmp_path, engine)
    sources = fill(shop)
    ingested = shop.ingest(*sources)
    accounts = {
        name: (counts.read, counts.accepted, counts.excluded, counts.quarantined, counts.duplicates)
        for name, counts in ingested.sources.items()
    }
    assert accounts == {"clicks": (4, 1, 1, 1, 1), "orders": (3, 2, 0, 1, 0), "ratings": (2, 1, 0, 1, 0)}
    assert (ingested.counts.read, ingested.counts.accepted, ingested.counts.residual()) == (9, 4, 0)
    assert ingested.counts.rules == {"bots": 1, "event_type_unknown": 1, "item_missing": 2}
    assert ingested.facts()["sources_total"]["orders"]["accepted"] == 2
    assert shop.events(*sources, select="user_id, event_type, value, device, review, strength") == [
        ("u1", "order", 9.5, None, None, 5_000_000),
        ("u1", "rating", 4.0, None, "good", 3_000_000),
        ("u1", "view", None, "phone", None, 1_000_000),
        ("u3", "order", 1.0, None, None, 5_000_000),
    ]
    again = shop.ingest(*sources)
    assert (again.ingested, again.known, again.total) == (0, 3, ingested.total)
    assert [file.get("source") for file in Ledger.read(shop.store).facts()["files"]] == [*KINDS]


@pytest.mark.spark
def test_spark_adds_a_source_to_a_store_and_both_engines_see_the_same_events(shop, spark_engine):
    _, orders, ratings = fill(shop)
    shop.ingest(ratings)
    columns = "user_id, event_type, value, review, strength, unix_micros(timestamp)"
    by_duckdb, shop.engine = shop.engine, spark_engine
    assert shop.ingest(orders, ratings).sources["orders"].accepted == 2
    by_spark, shop.engine = shop.events(orders, ratings, select=columns), by_duckdb
    assert by_spark == shop.events(orders, ratings, select=columns)
    assert [row[:2] for row in by_spark] == [("u1", "order"), ("u1", "rating"), ("u3", "order")]


def test_a_source_that_is_added_is_no_change_and_one_that_is_removed_keeps_its_events(shop):
    clicks, orders, ratings = fill(shop)
    shop.ingest(clicks, orders)
    added = shop.ingest(clicks, orders, ratings)
    assert (added.ingested, added.counts.accepted, added.notes) == (1, 1, ())
    listing = {**ratings, "event_weights": {"rating": 3, "order": 7}}
    removed = shop.ingest(clicks, listing)
    assert (removed.ingested, removed.total) == (0, added.total)
    assert removed.notes == (
        "[source] orders is no longer configured: its 2 stored events stay and are used",
    )
    assert [strength for user, strength in shop.events(clicks, listing) if user == "u3"] == [7_000_000]
    (note, unlisted) = shop.ingest(clicks, ratings).notes
    assert note.endswith("its 2 stored events stay")
    assert unlisted.endswith("stored events ('order') are not used")


def test_a_single_source_becomes_the_first_of_several_without_reading_anything_again(shop):
    clicks, orders, _ = fill(shop)
    single = {key: value for key, value in clicks.items() if key != "name"}
    before = shop.ingest(single)
    assert (before.sources, before.facts()["sources"]) == ({"source": before.counts}, {})
    after = shop.ingest(clicks, orders)
    assert (after.ingested, after.known, after.notes) == (1, 1, ())
    assert after.sources_total["clicks"] == before.counts
    swapped = shop.ingest(orders, clicks)  # what was read as [source] is of the source that reads alike
    assert (swapped.ingested, swapped.sources_total) == (0, after.sources_total)
    shop.clicks("b", ("u7", "i1", T, "view", ""))
    shop.ingest(clicks, orders)
    (note, _) = shop.ingest(orders).notes
    assert note == "[source] clicks is no longer configured: its 2 stored events stay"
    assert shop.owners(orders).exclusion_rules() == ["forgotten", "bots", "no_elements"]
    other = {**clicks, "columns": {**clicks["columns"], "user": "device"}}
    with pytest.raises(InputError, match=r"the \[source\.clicks\] section \(columns\.user\) changed since"):
        shop.ingest(other, orders)


def test_a_renamed_source_doubles_no_event(shop):
    clicks, orders, _ = fill(shop)
    shop.ingest(clicks, orders)
    renamed = {**clicks, "name": "web"}
    (shop.folder / "clicks" / "a.parquet").rename(shop.folder / "clicks" / "moved.parquet")
    shop.clicks("b", ("u1", "i1", T, "view", "phone"), ("u9", "i1", T, "view", ""))
    ingested = shop.ingest(renamed, orders)
    assert (ingested.ingested, ingested.counts.accepted, ingested.counts.duplicates) == (1, 1, 1)
    assert {name: counts.accepted for name, counts in ingested.sources_total.items()} == {
        "web": 1, "orders": 2, "clicks": 1,
    }  # fmt: skip
    assert shop.ingest(renamed, orders).ingested == 0
    rebuilt = shop.ingest(renamed, orders, rebuild=True)
    assert ("clicks" in rebuilt.sources_total, rebuilt.sources_total["web"].accepted) == (False, 2)


def test_a_copy_in_another_source_is_read_although_the_first_was_renamed(shop):
    first = shop.file("one/a.csv", HEADER, f"u1,i1,{T}")
    one, two = shop.source("one", **PLAIN), shop.source("two", **PLAIN)
    shop.ingest(one)
    shop.file("two/b.csv", *first.read_text(encoding="utf-8").splitlines())
    shop.file("two/c.csv", HEADER, f"u1,i1,{T}", f"u2,i2,{T}")
    ingested = shop.ingest(two, {**one, "name": "uno"})
    assert (ingested.sources["two"].accepted, ingested.total.accepted) == (2, 3)
    assert shop.ingest(two, {**one, "name": "uno"}, rebuild=True).total.accepted == 3


def test_a_source_that_is_renamed_and_read_otherwise_needs_a_rebuild(shop):
    clicks, orders, _ = fill(shop)
    shop.ingest(clicks, orders)
    other = {**clicks, "name": "web", "columns": {**clicks["columns"], "user": "device"}}
    with pytest.raises(
        InputError, match=r"a\.parquet: ingested by other settings than those of \[source\.web\]"
    ):
        shop.ingest(other, orders)
    assert shop.ingest(other, orders, rebuild=True).sources_total["web"].accepted == 1


def test_another_type_of_all_events_needs_a_rebuild_and_makes_no_new_event_of_one_that_is_gone(shop):
    _, orders, _ = fill(shop)
    shop.ingest(orders)
    sales = {**orders, "event_type": "it's \\ sold", "event_weights": {"it's \\ sold": 2, "order": 5}}
    with pytest.raises(InputError, match=r"the \[source\.orders\] section \(event_type\) changed since"):
        shop.ingest(sales)
    kept = (shop.folder / "orders" / "a.csv").rename(shop.folder / "a.csv")
    shop.orders("b", "u9;i1;03.03.2026;1")
    assert shop.ingest(sales, rebuild=True).counts.accepted == 1
    kept.rename(shop.folder / "orders" / "c.csv")
    with (shop.folder / "orders" / "c.csv").open("a", encoding="utf-8") as file:
        file.write("u8;i1;03.03.2026;1\n")
    again = shop.ingest(sales)
    assert (again.counts.accepted, again.counts.duplicates) == (1, 2)
    assert shop.events(sales, select="user_id, event_type, strength") == [
        ("u1", "order", 5_000_000),
        ("u3", "order", 5_000_000),
        ("u8", "it's \\ sold", 2_000_000),
        ("u9", "it's \\ sold", 2_000_000),
    ]


def test_a_file_of_two_sources_is_an_error(shop):
    clicks, orders, _ = fill(shop)
    link = shop.folder / "links"
    link.mkdir()
    (link / "a.csv").symlink_to(shop.folder / "orders" / "a.csv")
    for path in (shop.folder / "orders" / "*.csv", shop.folder / "o*", link):
        with pytest.raises(
            InputError, match=r"a\.csv: expected a file of one source, got .* orders and twice"
        ):
            shop.ingest(clicks, orders, {**orders, "name": "twice", "path": str(path)})
    assert Ledger.read(shop.store).manifests == []


def test_a_file_that_moves_to_another_source_needs_a_rebuild(shop):
    one, two = shop.file("one/a.csv", HEADER, f"u1,i1,{T}"), shop.file("two/b.csv", HEADER, f"u2,i1,{T}")
    sources = [shop.source(name, **PLAIN) for name in ("one", "two")]
    shop.ingest(*sources)
    moved = [{**sources[0], "path": str(two)}, {**sources[1], "path": str(one)}]
    with pytest.raises(InputError, match=r"b\.csv: ingested as a file of two, and now under the path of one"):
        shop.ingest(*moved)
    rebuilt = shop.ingest(*moved, rebuild=True)
    assert {name: counts.accepted for name, counts in rebuilt.sources_total.items()} == {"one": 1, "two": 1}
    assert shop.events(*moved, select="user_id") == [("u1",), ("u2",)]


def test_a_rebuild_compares_no_row_with_one_that_leaves_its_source(shop):
    shop.file("one/a.csv", HEADER, f"u1,i1,{T}", f"u9,i9,{T}")
    shop.file("two/b.csv", HEADER, f"u1,i1,{T}", f"u2,i2,{T}")
    sources = [shop.source(name, **PLAIN) for name in ("one", "two")]
    shop.ingest(*sources)
    swapped = [{**sources[0], "path": sources[1]["path"]}, {**sources[1], "path": sources[0]["path"]}]
    rebuilt = shop.ingest(*swapped, rebuild=True)
    assert (rebuilt.counts.accepted, rebuilt.counts.duplicates, rebuilt.total.accepted) == (4, 0, 4)


def test_equal_bytes_in_two_sources_are_read_twice_and_equal_rows_are_two_events(shop):
    for name in ("one/a.csv", "one/copy.csv", "two/b.csv"):
        shop.file(name, HEADER, f"u1,i1,{T}")
    sources = [shop.source(name, **PLAIN) for name in ("one", "two")]
    ingested = shop.ingest(*sources)
    assert (ingested.ingested, ingested.counts.accepted, ingested.counts.duplicates) == (2, 2, 0)
    assert shop.ingest(*sources).ingested == 0
    (shop.folder / "one" / "copy.csv").unlink()
    (shop.folder / "one" / "a.csv").rename(shop.folder / "one" / "gone.txt")
    (shop.folder / "one" / "gone.txt").write_text(f"{HEADER}\nu5,i1,{T}\n", encoding="utf-8")
    rebuilt = shop.ingest(*sources, rebuild=True)  # the copy of the other source is not that of this one
    assert {name: counts.accepted for name, counts in rebuilt.sources_total.items()} == {"one": 2, "two": 1}
    assert "1 ingested file could not be read again: gone" in rebuilt.notes[0]


def test_a_file_that_grows_is_continued_in_its_own_source_alone(shop):
    for name in ("one/a.csv", "two/b.csv"):
        shop.file(name, HEADER, f"u1,i1,{T}")
    sources = [shop.source(name, **PLAIN, appended=True) for name in ("one", "two")]
    shop.ingest(*sources)
    with (shop.folder / "one" / "a.csv").open("a", encoding="utf-8") as file:
        file.write(f"u2,i2,{T}\n")
    assert shop.ingest(*sources).counts.accepted == 1
    rebuilt = shop.ingest(*sources, rebuild=True)
    assert {name: counts.accepted for name, counts in rebuilt.sources_total.items()} == {"one": 2, "two": 1}
    assert (rebuilt.total.duplicates, rebuilt.notes) == (0, ())


class Crash(Exception):
    pass


def test_a_rebuild_that_is_killed_between_two_sources_loses_and_doubles_nothing(shop, monkeypatch):
    for name in ("one/gone.csv", "two/gone.csv"):
        shop.file(name, HEADER, f"{name[:3]}-gone,i1,{T}")
    for name in ("one/a.csv", "two/b.csv"):
        shop.file(name, HEADER, f"{name[:3]},i1,{T}")
    sources = [shop.source(name, **PLAIN) for name in ("one", "two")]
    shop.ingest(*sources)
    for name in ("one", "two"):
        (shop.folder / name / "gone.csv").unlink()
    changed = [{**source, "trim_ids": True} for source in sources]
    users = [("one",), ("one-gone",), ("two",), ("two-gone",)]
    run = BatchIngest.run

    def crash_in_the_second(self, *arguments):
        if self.source.name == "two":
            raise Crash
        run(self, *arguments)

    with pytest.raises(InputError, match=r"the \[source\.one\] section \(trim_ids\) changed"):
        shop.ingest(*changed)
    with monkeypatch.context() as patch:
        patch.setattr(BatchIngest, "run", crash_in_the_second)
        with pytest.raises(Crash):
            shop.ingest(*changed, rebuild=True)
    assert shop.events(*changed, select="user_id") == users
    with pytest.raises(
        InputError, match=r"the \[source\.two\] section \(trim_ids\) changed .* 2 stored events"
    ):
        shop.ingest(*changed)
    rebuilt = shop.ingest(*changed, rebuild=True)
    assert (rebuilt.total.read, rebuilt.total.accepted, rebuilt.total.residual()) == (4, 4, 0)
    assert "2 ingested files could not be read again: gone" in rebuilt.notes[0]
    assert shop.events(*changed, select="user_id") == users


def test_a_first_try_of_one_source_that_accepted_nothing_is_made_again_by_itself(shop):
    clicks, orders, _ = fill(shop)
    assert shop.ingest(clicks, {**orders, "timestamp_format": "iso"}).sources["orders"].accepted == 0
    again = shop.ingest(clicks, orders)
    assert (again.ingested, again.sources["orders"].accepted, again.sources["clicks"].read) == (1, 2, 0)
    assert again.total.residual() == 0


def test_a_source_has_its_own_zone_and_days_end_in_that_of_the_first(shop):
    shop.file("one/a.csv", HEADER, "u1,i1,2026-03-01 23:30:00")
    shop.file("two/b.csv", HEADER, "u2,i1,2026-03-02 08:30:00")  # the same moment in Tokyo
    sources = [shop.source("one", **PLAIN), shop.source("two", **PLAIN, time_zone="Asia/Tokyo")]
    shop.ingest(*sources)
    events = shop.events(*sources, select="user_id, CAST(event_date AS STRING), unix_micros(timestamp)")
    micros = 1_772_407_800_000_000
    assert events == [("u1", "2026-03-01", micros), ("u2", "2026-03-01", micros)]


def test_a_changed_file_replaces_the_rows_of_its_own_source(shop):
    clicks, orders, _ = fill(shop)
    shop.ingest(clicks, orders)
    shop.orders("a", "u8;i1;02.03.2026;1")
    with pytest.raises(InputError, match=r"a\.csv: changed since it was ingested"):
        shop.ingest(clicks, orders)
    replaced = shop.ingest(clicks, orders, replace_changed=True)
    assert {name: counts.accepted for name, counts in replaced.sources_total.items()} == {
        "clicks": 1, "orders": 1,
    }  # fmt: skip
    assert [row[0] for row in shop.events(clicks, orders)] == ["u1", "u8"]
