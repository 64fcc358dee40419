"""Old releases and leftovers are removed; what readers may hold is kept."""

from __future__ import annotations

import os

import pytest
from worlds.killed_calls import killed_at
from worlds.release_world import World

from tasks.release.publish import rollback
from tasks.release.releases import current, previous, releases, verify
from tasks.release.retention import clean, retain
from tasks.runtime.errors import StoreError


def test_retention_keeps_the_active_and_the_one_before(fresh: World) -> None:
    for day in range(1, 6):
        fresh.publish(f"2026-01-0{day}")
    rollback(fresh.store)
    rollback(fresh.store, "2026-01-02-r1")
    assert (current(fresh.store).release_id, previous(fresh.store)) == ("2026-01-02-r1", "2026-01-01-r1")
    assert retain(fresh.store, 1) == ["2026-01-04-r1", "2026-01-03-r1"]
    assert sorted(path.name for path in fresh.store.releases.iterdir()) == [
        f"2026-01-0{day}-r1" for day in (1, 2, 5)
    ]
    assert retain(fresh.store, 3) == []
    with pytest.raises(StoreError, match="expected to keep at least 1 release, got 0"):
        retain(fresh.store, 0)


def test_leftovers_are_cleaned_and_living_things_kept(fresh: World) -> None:
    release = fresh.publish("2026-01-01")
    old, young, wanted = (fresh.stage("2026-01-02", run_id).folder for run_id in ("old", "young", "wanted"))
    for folder in (old, wanted):
        for path in (*folder.iterdir(), folder):
            os.utime(path, (0, 0))
    trash = fresh.store.releases / ".trash-2025-12-31-r1-abcd"
    trash.mkdir()
    temporary = fresh.store.root / ".current.json.abcd.tmp"
    temporary.write_text("half")
    assert set(clean(fresh.store, keep_runs=["wanted"])) == {old, trash, temporary}
    assert young.exists()
    assert wanted.exists()
    assert not old.exists()
    assert verify(release) == []
    assert releases(fresh.store) == [release]


def test_a_deletion_killed_anywhere_leaves_no_half_release(fresh: World) -> None:
    for day in range(1, 4):
        fresh.publish(f"2026-01-0{day}")
    for step in range(1, 100):
        died = killed_at(step, lambda: retain(fresh.store, 1))
        for release in releases(fresh.store):
            assert verify(release) == []
        if not died:
            break
    clean(fresh.store)
    assert sorted(path.name for path in fresh.store.releases.iterdir()) == ["2026-01-02-r1", "2026-01-03-r1"]
