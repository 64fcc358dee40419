"""Which release readers had, and releases of an older version, which lack a table."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest
from worlds.release_world import World

from sql.interactions.forgotten import KeyedList
from tasks.erasure.releases import erase_releases
from tasks.erasure.subjects import Subjects
from tasks.monitoring.verification import verify_store
from tasks.release.publish import rollback
from tasks.release.query import query
from tasks.release.releases import Release, current, release_before, release_that_readers_had, verify
from tasks.store.files import sha256_of

LATER = date(2026, 1, 9)


def older(release: Release) -> Release:
    """Make a release what version 0.1 published: without the table release_scores."""
    release.table("release_scores").unlink()
    with duckdb.connect(str(release.database)) as con:
        con.execute("DROP TABLE release_scores")
    manifest = release.manifest()
    del manifest["files"]["release_scores.parquet"], manifest["database_content"]["release_scores"]
    database = {"sha256": sha256_of(release.database), "bytes": release.database.stat().st_size, "rows": None}
    manifest["files"][release.database.name] = database
    (release.folder / "manifest.json").write_text(json.dumps(manifest))
    return release


def test_readers_had_the_last_active_release_of_an_earlier_date(fresh: World) -> None:
    assert release_that_readers_had(fresh.store, LATER) is None
    third, fifth = fresh.publish("2026-01-03", "r1"), fresh.publish("2026-01-05", "r2")
    fresh.publish("2026-01-04", "r3")  # an old date: readers stay with the fifth
    again = fresh.publish("2026-01-05", "r4")

    def had(day: int) -> str | None:
        release = release_that_readers_had(fresh.store, date(2026, 1, day))
        return release.release_id if release else None

    assert [had(day) for day in (3, 4, 5, 6)] == [None, *[third.release_id] * 2, again.release_id]
    assert release_before(fresh.store, date(2026, 1, 5)) == release_that_readers_had(
        fresh.store, date(2026, 1, 5)
    )
    rollback(fresh.store, third.release_id)  # the fifth was withdrawn
    assert [had(day) for day in (4, 6)] == [third.release_id] * 2
    assert fifth.folder.is_dir()


def test_a_release_that_nobody_had_is_compared_with_but_not_what_readers_had(fresh: World) -> None:
    fresh.publish("2026-01-05", "r1")
    old = fresh.publish("2026-01-03", "r2")
    before = release_before(fresh.store, date(2026, 1, 4))
    assert before is not None
    assert before.release_id == old.release_id
    assert release_that_readers_had(fresh.store, date(2026, 1, 4)) is None


def test_a_release_of_an_older_version_is_whole_and_can_be_rolled_back_to(fresh: World) -> None:
    old = older(fresh.publish("2026-01-01", "r1"))
    new = fresh.publish("2026-01-02", "r2")
    assert (verify(old), verify(new)) == ([], [])
    assert verify_store(fresh.store).damaged == []
    assert rollback(fresh.store).release_id == old.release_id == current(fresh.store).release_id
    assert query(fresh.store, "SELECT count(*) AS n FROM recommendations")["n"].to_pylist() == [12]


@pytest.mark.parametrize("name", ["release_scores.parquet", "recommendations.parquet"])
def test_a_table_that_the_manifest_names_may_not_be_missing(fresh: World, name: str) -> None:
    release = fresh.publish()
    (release.folder / name).unlink()
    assert verify(release) == [f"{name} is missing"]


def test_an_older_release_may_lack_later_tables_only_and_has_no_other_files(fresh: World) -> None:
    old = older(fresh.publish())
    stray = old.table("release_scores")
    stray.write_bytes(b"stray")
    assert verify(old) == ["release_scores.parquet is not part of the release"]
    stray.unlink()
    manifest = old.manifest()
    del manifest["files"]["popular_items.parquet"]
    (old.folder / "manifest.json").write_text(json.dumps(manifest))
    assert "does not list the files" in verify(old)[0]


def test_a_user_is_removed_from_releases_with_and_without_later_tables(fresh: World) -> None:
    releases = [older(fresh.publish("2026-01-01", "r1")), fresh.publish("2026-01-02", "r2")]
    scores = releases[1].table("release_scores").read_bytes()
    subjects = Subjects(("20",), KeyedList(b"k" * 32, frozenset()))
    erase_releases(fresh.store, subjects, dry_run=False)
    for release in releases:
        assert verify(release) == []
        with duckdb.connect(str(release.database), read_only=True) as con:
            users = con.sql("SELECT DISTINCT user_id FROM recommendations ORDER BY user_id").fetchall()
        assert users == [(10,), (30,), (40,)]
    assert not Path(releases[0].table("release_scores")).exists()
    assert releases[1].table("release_scores").read_bytes() == scores
