"""The pointer to the active release: which way it moves, back by a rollback, and what damage does."""

from __future__ import annotations

import pytest
from worlds.release_world import World

from tasks.release.publish import rollback
from tasks.release.releases import current, previous, releases, verify
from tasks.runtime.errors import StoreError


def test_the_pointer_follows_dates_and_never_goes_back_by_itself(fresh: World) -> None:
    fresh.publish("2026-01-03", "r1")
    assert not fresh.publish("2026-01-02", "backfill").active
    assert current(fresh.store).release_id == "2026-01-03-r1"
    assert fresh.publish("2026-01-03", "again").active
    assert not fresh.publish("2026-01-04", "quiet", activate=False).active
    assert fresh.publish("2026-01-01", "wanted", activate=True).active
    order = [release.release_id for release in releases(fresh.store)]
    assert order == [
        "2026-01-01-wanted",
        "2026-01-04-quiet",
        "2026-01-03-again",
        "2026-01-02-backfill",
        "2026-01-03-r1",
    ]


def test_rollback_goes_where_readers_were_and_further_back(fresh: World) -> None:
    for day in (1, 2, 3):
        fresh.publish(f"2026-01-0{day}")
    fresh.publish("2025-12-31", "backfill")  # never active: no rollback leads there
    assert previous(fresh.store) == "2026-01-02-r1"
    assert rollback(fresh.store).release_id == "2026-01-02-r1"
    assert rollback(fresh.store).release_id == "2026-01-01-r1"
    with pytest.raises(StoreError, match="nothing to roll back to"):
        rollback(fresh.store)
    assert rollback(fresh.store, "2026-01-03-r1").active
    assert previous(fresh.store) == "2026-01-01-r1"
    with pytest.raises(StoreError, match="already the active one"):
        rollback(fresh.store, "2026-01-03-r1")
    with pytest.raises(
        StoreError, match=r"unknown release '2026-01-09-r1'; known: 2025-12-31-backfill, 2026-01-03"
    ):
        rollback(fresh.store, "2026-01-09-r1")


def test_rollback_refuses_a_damaged_release_and_leaves_a_broken_one(fresh: World) -> None:
    first, second = fresh.publish("2026-01-01"), fresh.publish("2026-01-02")
    with first.database.open("r+b") as file:
        file.seek(5000)
        file.write(b"X")
    (first.folder / "nightshelf.duckdb.wal").write_text("stale")
    assert [problem.split(":")[0] for problem in verify(first)] == [
        "nightshelf.duckdb",
        "nightshelf.duckdb.wal is not part of the release",
    ]
    with pytest.raises(StoreError, match="damaged, readers stay where they are"):
        rollback(fresh.store)
    assert current(fresh.store) == second
    third = fresh.publish("2026-01-03")
    (third.folder / "manifest.json").unlink()
    with pytest.raises(StoreError, match="2026-01-03-r1 is damaged"):
        current(fresh.store)
    assert rollback(fresh.store) == second
    assert [release.problem is None for release in releases(fresh.store)] == [True, True, False]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"release_id": "../../etc"}', '{"release_id": "2026-01-01-r1", "history": 3}']
)
def test_a_damaged_pointer_says_so(fresh: World, text: str) -> None:
    fresh.publish("2026-01-01")
    fresh.store.pointer.write_text(text)
    with pytest.raises(StoreError, match=r"current\.json"):
        current(fresh.store)
