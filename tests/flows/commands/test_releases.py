"""The commands status, releases and rollback, and how commands find the store."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from worlds.command_calls import call, document
from worlds.release_world import FACTS, World

from tasks.configuration.configuration import load
from tasks.configuration.file import store_path
from tasks.monitoring.status import lock_holder, store_status
from tasks.release.publish import publish
from tasks.runtime.errors import ConfigurationError
from tasks.store.layout import Store
from tasks.store.runs import RunRecord


def test_status_of_a_fresh_release(root: Path) -> None:
    answer = document("status", store=root)
    assert (answer["state"], answer["problem"]) == ("fresh", None)
    assert answer["release"]["release_id"] == "2026-01-02-r1"
    assert answer["release"]["rows"] == 12
    assert 0 <= answer["release"]["age_seconds"] < 3600
    assert answer["row_accounting"]["accepted"] == 6
    assert answer["model_metrics"] == [
        {"model": "als", "ndcg@10": 0.2},
        {"model": "popularity", "ndcg@10": 0.1},
    ]
    assert answer["releases"] == {"count": 2, "damaged": []}
    assert answer["disk"]["releases"] < answer["disk"]["total"]
    assert (answer["last_run"], answer["locked_by"], answer["warnings"]) == (None, None, ["few events"])
    printed = call("status", store=root).stdout
    for part in (
        "2026-01-02-r1 (as of 2026-01-02, 12 recommendations)",
        "fresh",
        "7 read, 6 accepted",
        "few events",
    ):
        assert part in printed


def test_status_has_a_line_for_each_of_several_sources(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    total = {"read": 9, "accepted": 9, "rules": {}}
    accounts = {"total": total, "sources": {"clicks": total | {"read": 5}, "orders": total | {"read": 4}}}
    monkeypatch.setitem(FACTS, "row_accounting", accounts)
    fresh.publish()
    printed = call("status", store=fresh.store.root).stdout
    lines = [line.split() for line in printed.splitlines() if line.strip().startswith("rows ")]
    assert [line[1:5] for line in lines] == [
        ["total", "9", "read,", "9"],
        ["of", "clicks", "5", "read,"],
        ["of", "orders", "4", "read,"],
    ]


def test_status_keys_are_the_same_in_every_state(fresh: World) -> None:
    before = document("status", store=fresh.store.root, code=3)
    fresh.publish()
    after = document("status", store=fresh.store.root)
    assert list(before) == list(after)
    assert before["state"] == "nothing published"


def test_status_of_an_expired_release_is_stale(root: Path) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=49)
    answer = store_status(Store(root), now=later)
    assert (answer["state"], answer["release"]["stale"]) == ("stale", True)
    assert answer["release"]["expires_in_seconds"] < 0


def test_status_exits_with_3_when_stale(fresh: World) -> None:
    staging = fresh.stage(expires_after=dt.timedelta(seconds=-60))
    publish(fresh.store, staging, fresh.audit(staging))
    printed = call("status", store=fresh.store.root, code=3).stdout
    assert "stale" in printed
    assert "1 min ago" in printed


def test_status_reports_damage(fresh: World) -> None:
    release = fresh.publish()
    manifest = release.folder / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    answer = document("status", store=fresh.store.root, code=3)
    assert answer["state"] == "damaged"
    assert "manifest.json" in answer["problem"]
    assert answer["releases"]["damaged"] == [release.release_id]
    assert f"damaged: {release.release_id}" in call("status", store=fresh.store.root, code=3).stdout


def test_status_reports_the_last_run(fresh: World) -> None:
    record = RunRecord(
        run_id="20260103T000000Z", as_of=dt.date(2026, 1, 3), started_at="2026-01-03T00:00:00+00:00"
    )
    record.save(fresh.store)
    assert document("status", store=fresh.store.root, code=3)["last_run"]["state"] == "interrupted"
    with fresh.store.lock("run for 2026-01-03"):
        answer = document("status", store=fresh.store.root, code=3)
        assert answer["last_run"]["state"] == "running"
        assert answer["locked_by"].startswith(f"run for 2026-01-03 (pid {os.getpid()} on ")
        assert "locked by" in call("status", store=fresh.store.root, code=3).stdout
    record.state, record.message = "failed", "no events on 2026-01-03"
    record.save(fresh.store)
    printed = call("status", store=fresh.store.root, code=3).stdout
    assert "20260103T000000Z for 2026-01-03: failed" in printed
    assert "no events on 2026-01-03" in printed
    record.folder(fresh.store).record.write_text('{"run_id": 1}')
    assert document("status", store=fresh.store.root, code=3)["last_run"]["state"] == "unreadable"


def test_a_dead_process_or_its_successor_holds_no_lock(fresh: World) -> None:
    from socket import gethostname

    note = fresh.store.root / ".lock.holder.json"
    facts = {"host": gethostname(), "purpose": "run", "since": "2020-01-01T00:00:00+00:00"}
    for pid in (
        os.getpid(),
        2**22 + 1,
    ):  # this process started after 2020; no process has such a large id
        note.write_text(json.dumps(facts | {"pid": pid}))
        assert lock_holder(fresh.store) is None
    note.write_text(json.dumps(facts | {"pid": 1, "host": "elsewhere"}))
    assert lock_holder(fresh.store) == "run (pid 1 on elsewhere since 2020-01-01T00:00:00+00:00)"
    note.write_text("{")
    assert lock_holder(fresh.store) is None


def test_releases_are_listed_latest_first(root: Path) -> None:
    rows = document("releases", store=root)["releases"]
    assert [(row["release_id"], row["active"]) for row in rows] == [
        ("2026-01-02-r1", True),
        ("2026-01-01-r1", False),
    ]
    assert list(rows[0]) == [
        "release_id",
        "as_of",
        "published_at",
        "expires_at",
        "rows",
        "bytes",
        "active",
        "problem",
    ]
    lines = call("releases", store=root).stdout.splitlines()
    assert lines[1].split() == ["release_id", "as_of", "published_at", "rows", "size", "active", "problem"]


def test_a_store_without_releases_is_no_error(fresh: World) -> None:
    assert document("releases", store=fresh.store.root) == {"releases": []}
    assert "no releases yet" in call("releases", store=fresh.store.root).stdout


def test_rollback_names_both_releases(fresh: World) -> None:
    fresh.publish("2026-01-01")
    fresh.publish("2026-01-02")
    root = fresh.store.root
    printed = call("rollback", store=root).stdout
    assert printed.startswith("readers moved from 2026-01-02-r1 to 2026-01-01-r1 (as of 2026-01-01)\n")
    assert document("query", "SELECT 1", store=root)["release_id"] == "2026-01-01-r1"
    assert "nothing to roll back to" in call("rollback", store=root, code=1).stderr
    answer = document("rollback", "--to", "2026-01-02-r1", store=root)
    assert (answer["from"], answer["to"]) == ("2026-01-01-r1", "2026-01-02-r1")
    assert "already the active one" in call("rollback", "--to", "2026-01-02-r1", store=root, code=1).stderr
    assert "unknown release" in call("rollback", "--to", "2026-01-09-r1", store=root, code=1).stderr


def test_rollback_leaves_a_damaged_release(fresh: World) -> None:
    fresh.publish("2026-01-01")
    broken = fresh.publish("2026-01-02")
    (broken.folder / "manifest.json").chmod(0o644)
    (broken.folder / "manifest.json").write_text("{")
    assert document("rollback", store=fresh.store.root)["to"] == "2026-01-01-r1"
    lines = call("releases", store=fresh.store.root).stdout
    assert "manifest.json: StoreError" in lines


def test_rollback_waits_for_no_lock(fresh: World) -> None:
    fresh.publish("2026-01-01")
    fresh.publish("2026-01-02")
    with fresh.store.lock("run for 2026-01-03"):
        message = call("rollback", store=fresh.store.root, code=1).stderr
    assert "is locked by pid" in message
    assert "run for 2026-01-03" in message


def test_rollback_leaves_nothing_in_a_folder_that_is_no_store(tmp_path: Path) -> None:
    assert "nothing is published" in call("rollback", store=tmp_path, code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_found_through_the_configuration(root: Path, tmp_path: Path, monkeypatch: Any) -> None:
    config = tmp_path / "night.toml"
    config.write_text(
        f'[store]\npath = "{root}"\n[source]\nnonsense = 1\n'
    )  # readers need no more of the file
    assert call("releases", "-c", str(config)).stdout
    assert call("releases", NIGHTSHELF_CONFIG=str(config)).stdout
    monkeypatch.chdir(tmp_path)
    assert "nightshelf.toml: no such configuration file; name it with" in call("releases", code=1).stderr
    config.rename("nightshelf.toml")
    assert call("releases").stdout
    assert "no such folder" in call("releases", store=tmp_path / "none", code=1).stderr


@pytest.mark.parametrize(
    "text",
    ["", "[store]\n", '[store]\npath = "a/b"\n', '[store]\npath = "/a/b"\n', '[store]\npath = "~/a"\n',
     '[store]\npath = "../a"\n', '[store]\npath = ""\n', '[store]\npath = "s3://a/b"\n'],
)  # fmt: skip
def test_readers_and_runs_resolve_the_same_store(tmp_path: Path, text: str) -> None:
    config = tmp_path / "night.toml"
    source = '[source]\npath = "x"\ncolumns = { user = "u", item = "i", timestamp = "t" }\n'
    config.write_text(text + source)
    linked = tmp_path / "folder" / "linked.toml"
    linked.parent.mkdir()
    linked.symlink_to(config)
    for path in (config, linked):
        assert store_path(path) == load(path).store.path


@pytest.mark.parametrize("text", ["[store", "[store]\npath = 1\n", "store = 1\n", "[store]\npath = ['a']\n"])
def test_a_configuration_without_a_readable_store_path_is_an_error(tmp_path: Path, text: str) -> None:
    config = tmp_path / "night.toml"
    config.write_text(text)
    with pytest.raises(ConfigurationError, match=r"night\.toml: "):
        store_path(config)
    with pytest.raises(ConfigurationError):
        load(config)
