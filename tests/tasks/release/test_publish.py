"""Staging and publishing a release: what it promises, once, and whole wherever it is killed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from worlds.killed_calls import killed_at
from worlds.release_world import FACTS, N, World

from tasks.release.audit import Audit
from tasks.release.publish import publish, rollback, stage
from tasks.release.releases import current, verify
from tasks.release.tables import TABLES
from tasks.runtime.errors import StoreError, UserError
from tasks.store.files import sha256_of


@pytest.mark.parametrize("text", [False, True])
def test_a_good_release_is_published_with_all_it_promises(tmp_path: Path, text: bool) -> None:
    world = World(tmp_path, text=text)
    release = world.publish()
    assert release == current(world.store)
    assert (release.release_id, str(release.as_of), release.rows, release.active) == (
        "2026-01-02-r1",
        "2026-01-02",
        4 * N,
        True,
    )
    names = {*(f"{name}.parquet" for name in TABLES), "nightshelf.duckdb", "manifest.json"}
    assert {path.name for path in release.folder.iterdir()} == names
    assert verify(release) == []
    manifest = release.manifest()
    for name, described in manifest["files"].items():
        assert described["sha256"] == sha256_of(release.folder / name)
    assert manifest["files"]["recommendations.parquet"]["rows"] == 4 * N
    life = dt.datetime.fromisoformat(manifest["expires_at"]) - dt.datetime.fromisoformat(
        manifest["created_at"]
    )
    assert life == dt.timedelta(hours=48)
    assert set(FACTS) <= set(manifest)
    assert manifest["model_metrics"] == {"als": {"ndcg@10": None}}
    assert "hunter2" not in json.dumps(manifest)
    assert manifest["audit"]["checks"] > 30
    assert not world.staging("2026-01-02", "r1").exists()
    pointer = json.loads(world.store.pointer.read_text())
    assert (pointer["release_id"], pointer["as_of"]) == ("2026-01-02-r1", "2026-01-02")


def test_two_builds_have_identical_tables(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
    manifests = [World(tmp_path / folder).publish().manifest() for folder in "ab"]
    assert manifests[0]["database_content"] == manifests[1]["database_content"]
    for name in TABLES:
        assert manifests[0]["files"][f"{name}.parquet"] == manifests[1]["files"][f"{name}.parquet"]


def test_staging_again_replaces_what_a_crash_left(fresh: World) -> None:
    folder = fresh.staging("2026-01-02", "r1")
    (folder / ".spill").mkdir(parents=True)
    (folder / ".x.tmp").write_text("half")
    (folder / "nightshelf.duckdb").write_text("half")
    (folder / "nightshelf.duckdb.wal").write_text("half")
    assert verify(fresh.publish()) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "renamed"])
def test_a_table_that_cannot_be_read_stops_the_staging(fresh: World, damage: str) -> None:
    folder = fresh.staging("2026-01-02", "r1")
    fresh.write(folder)
    path = folder / "recommendations.parquet"
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-20])
    elif damage == "flipped":
        scores = pq.read_metadata(path).row_group(0).column(3)
        content[scores.data_page_offset + scores.total_compressed_size - 3] ^= 1
        path.write_bytes(content)
    else:
        pq.write_table(pq.read_table(path).rename_columns(["a", "b", "c", "d", "e", "f"]), path)
    with pytest.raises(StoreError, match=r"cannot build .*nightshelf\.duckdb from the tables beside it"):
        stage(
            fresh.store,
            "2026-01-02",
            "r1",
            items=fresh.dataset / "items.parquet",
            ids=fresh.ids,
            facts=FACTS,
        )
    assert not (folder / "manifest.json").exists()


def test_facts_that_lack_or_collide_are_refused(fresh: World) -> None:
    fresh.stage()
    arguments: dict[str, Any] = {"items": fresh.dataset / "items.parquet", "ids": fresh.ids}
    with pytest.raises(StoreError, match="missing: code_version"):
        stage(
            fresh.store,
            "2026-01-02",
            "r1",
            facts={k: FACTS[k] for k in FACTS if k != "code_version"},
            **arguments,
        )
    with pytest.raises(StoreError, match="beside the manifest's own names, got files"):
        stage(fresh.store, "2026-01-02", "r1", facts=FACTS | {"files": {}}, **arguments)


def test_only_the_passed_audit_of_this_staging_publishes(fresh: World) -> None:
    staging = fresh.stage()
    passed = fresh.audit(staging)
    other = Audit(fresh.staging("2026-01-01", "r1"), passed.checks, ())
    with pytest.raises(StoreError, match="expected the audit of"):
        publish(fresh.store, staging, other)
    with pytest.raises(UserError, match="refused by its audit, 1 checks failed"):
        publish(fresh.store, staging, fresh.audit(staging, blocked=[104]))
    with (staging.folder / "similar_items.parquet").open("r+b") as file:
        file.write(b"X")
    with pytest.raises(StoreError, match=r"changed since it was staged: similar_items\.parquet"):
        publish(fresh.store, staging, passed)
    with pytest.raises(StoreError, match="nothing is published"):
        current(fresh.store)


def test_publishing_twice_is_once_but_other_rows_need_another_run(fresh: World) -> None:
    staging = fresh.stage()
    audited = fresh.audit(staging)
    release = publish(fresh.store, staging, audited)
    assert publish(fresh.store, staging, audited) == release
    assert fresh.publish() == release
    fresh.tables["recommendations"]["score"][0] = 2.0
    with pytest.raises(
        StoreError, match=r"releases are immutable.*recommendations\.parquet.*start a new run"
    ):
        fresh.publish()
    assert current(fresh.store) == release


def test_a_publication_killed_anywhere_leaves_a_whole_release_and_can_be_finished(fresh: World) -> None:
    yesterday = fresh.publish("2026-01-01")
    seen = set()
    for step in range(1, 100):
        staging = fresh.stage("2026-01-02", f"r{step}")
        audited = fresh.audit(staging)
        died = killed_at(step, lambda: publish(fresh.store, staging, audited))  # noqa: B023
        readable = current(fresh.store)
        assert verify(readable) == []
        if not died:
            assert readable.release_id == staging.release_id
            break
        renamed = fresh.store.release(staging.release_id).exists()
        flipped = readable.release_id == staging.release_id
        assert flipped or readable == yesterday
        seen.add((renamed, flipped))
        assert publish(fresh.store, staging, audited).active
        assert rollback(fresh.store, yesterday.release_id) == yesterday
    assert step > 8
    assert seen == {(False, False), (True, False), (True, True)}  # the pointer flips last
