"""Forgetting a user: nothing remains, nothing returns, and a crash midway does no harm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from worlds.command_calls import call
from worlds.erasure_world import SEGMENT, USER, opened, plant, traces, without
from worlds.night_world import FIRST, QUICK, SECOND, THIRD, Night
from worlds.paths import IMPORTABLE, WORLDS

from flows.night.run import ingest_only, run_night
from tasks.erasure.forget import erase, survey
from tasks.interactions.forgotten import read_forgotten
from tasks.interactions.ledger import Ledger
from tasks.monitoring.status import store_status
from tasks.monitoring.verification import verify_store
from tasks.release.releases import open_release
from tasks.report.summary import sample_rows
from tasks.runtime.errors import StoreError, StoreLockedError, UserError

PUBLISHED = ("recommendations", "similar_items", "popular_items")
WHOLE: dict[str, Any] = {
    "train__models": ["als", "popularity"],
    "train__serve": "als",
    "evaluation__enabled": True,
    "quality__enabled": False,
}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with two nights that know the user; the first night's page shows the user."""
    folder = tmp_path_factory.mktemp("nights")
    night = opened(folder / "shop", plant(folder / "logs"))
    run_night(night.configured(**QUICK), FIRST)
    run_night(night.configured(**QUICK, report__enabled=False), SECOND)
    return night


@pytest.fixture
def night(nights: Night, tmp_path: Path) -> Night:
    """Return a copy of the shop."""
    copy = opened(tmp_path / "shop", nights.logs)
    shutil.copytree(nights.store.root, copy.store.root)
    return copy


def whole(night: Night) -> bool:
    """Return whether every release matches its manifest, and every account closes."""
    ledger = Ledger.read(night.store)
    assert all(path.is_file() for path in ledger.parts())
    files = [file for manifest in ledger.manifests for file in manifest.files]
    closed = all(
        (file.counts.residual(), sum(file.days.values())) == (0, file.counts.accepted) for file in files
    )
    return closed and verify_store(night.store).damaged == []


@pytest.mark.parametrize(
    ("engine", "settings"),
    [
        ("duckdb", QUICK),
        pytest.param("duckdb", WHOLE, marks=pytest.mark.torture),
        pytest.param("spark", WHOLE, marks=[pytest.mark.torture, pytest.mark.spark]),
    ],
)
def test_nothing_remains_and_the_next_night_equals_one_that_never_knew_the_user(
    engine: str, settings: dict[str, Any], nights: Night, tmp_path: Path
) -> None:
    night = opened(tmp_path / "shop", nights.logs)
    never = opened(tmp_path / "never", without(nights.logs, tmp_path / "logs"))
    options = settings | {"report__enabled": False, "engine__name": engine}
    if settings is QUICK:
        shutil.copytree(nights.store.root, night.store.root)
    else:
        run_night(night.configured(**options | {"report__enabled": True}), FIRST)
    assert len({path.split("store/")[1].split("/")[0] for path in traces(night.store.root)}) == 5
    read = Ledger.read(night.store).counts().read
    erase(night.store, [USER])
    assert traces(night.store.root) == []
    assert whole(night)
    assert Ledger.read(night.store).counts().read == read
    ours = run_night(night.configured(**options), THIRD)
    assert traces(night.store.root) == []
    assert whole(night)
    theirs = run_night(never.configured(**options), THIRD)
    ours_tables, never_tables = night.hashes(str(ours.release_id)), never.hashes(str(theirs.release_id))
    assert {name: ours_tables[name] for name in PUBLISHED} == {name: never_tables[name] for name in PUBLISHED}


def test_a_rebuild_leaves_the_user_out_and_the_account_closes(night: Night) -> None:
    before = Ledger.read(night.store).counts()
    erase(night.store, [USER])
    after = Ledger.read(night.store).counts()
    assert (before.accepted, before.quarantined) == (after.accepted + 3, after.quarantined + 2)
    assert (after.excluded, after.rules["forgotten"]) == (before.excluded + 5, 5)
    rebuilt = ingest_only(night.configured(**QUICK), SECOND, rebuild=True).total
    assert (rebuilt.read, rebuilt.residual(), rebuilt.rules["forgotten"]) == (before.read, 0, 7)
    assert (rebuilt.accepted, rebuilt.duplicates) == (after.accepted, after.duplicates - 2)
    assert traces(night.store.root) == []


def test_releases_stay_whole_and_keep_the_lists_of_everybody_else(night: Night) -> None:
    name = night.published()[0]
    release = open_release(night.store, name)
    before = pq.read_table(release.table("recommendations"))
    reader = duckdb.connect(str(release.database), read_only=True)  # a reader that stays open meanwhile
    pointer = night.store.pointer.read_bytes()
    erase(night.store, [USER])
    after = pq.read_table(release.table("recommendations"))
    expected = before.filter(pc.not_equal(before["user_id"], USER))
    assert after.equals(expected)
    assert before.num_rows - after.num_rows == 6
    (erased,) = release.manifest()["erased"]
    assert (erased["users"], erased["rows"]) == (1, 6)
    assert night.store.pointer.read_bytes() == pointer
    assert reader.sql("SELECT count(*) FROM recommendations").fetchall() == [(before.num_rows,)]
    reader.close()
    with duckdb.connect(str(release.database), read_only=True) as con:
        assert con.sql("SELECT recommendations FROM release_info").fetchall() == [(after.num_rows,)]
        kept = con.sql(
            "SELECT DISTINCT segment_value FROM popular_items WHERE segment = 'country'"
        ).fetchall()
    assert (SEGMENT,) not in kept
    assert kept


def test_other_users_keep_their_samples_and_messages_lose_the_id(night: Night) -> None:
    page = night.store.report(night.published()[0])
    articles = page.read_text().count('<article class="user"')
    assert USER in page.read_text()
    record = night.records()[0]
    record.message = f"no list for {USER}, but for {USER}x"
    record.save(night.store)
    erase(night.store, [USER])
    assert page.read_text().count('<article class="user"') == articles - 1 > 10
    assert night.records()[0].message == f"no list for [forgotten], but for {USER}x"


def test_one_setting_governs_the_users_that_a_page_and_the_artifact_show(nights: Night) -> None:
    record = nights.records()[0]
    assert len({row["user"] for row in sample_rows(nights.store, record, 2)}) == 2
    assert sample_rows(nights.store, record, 0) == []


def test_a_run_that_lost_its_files_is_resumed(night: Night) -> None:
    record = night.records()[1]
    release = night.store.release(str(record.release_id))
    staging = record.folder(night.store).staging
    release.rename(staging)  # as before its publication
    record.state, record.release_id, record.stations = "failed", None, record.stations[:-1]
    record.save(night.store)
    night.store.pointer.unlink()
    erase(night.store, [USER])
    assert traces(night.store.root) == []
    resumed = run_night(night.configured(**QUICK, report__enabled=False), SECOND, resume="yes")
    assert (resumed.run_id, resumed.state) == (record.run_id, "published")
    assert traces(night.store.root) == []


def steps_of(night: Night, last: int = 0) -> subprocess.CompletedProcess[str]:
    """Forget the user in a process that prints its number of steps, or dies at step `last`."""
    command = [sys.executable, str(WORLDS / "killed_erasure.py")]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    return subprocess.run(
        [*command, str(night.store.root), str(last), USER],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.torture)])
def test_after_a_kill_at_any_step_the_store_is_intact_and_a_rerun_finishes(
    kills: int, night: Night, tmp_path: Path
) -> None:
    clean = night.copy(tmp_path / "clean")
    steps = int(steps_of(clean).stdout)
    assert steps > kills
    assert traces(clean.store.root) == []
    for number in range(kills):
        killed = night.copy(tmp_path / str(number))
        at = 1 + (2 * number + 1) * steps // (2 * kills)
        assert steps_of(killed, at).returncode == -signal.SIGKILL, at
        assert whole(killed), at
        unfinished = [warning for warning in store_status(killed.store)["warnings"] if "forget" in warning]
        listed = read_forgotten(killed.store)
        assert bool(unfinished) == bool(listed.pending), at
        ended = bool(listed.digests) and not listed.pending
        assert not (ended and traces(killed.store.root)), at  # a store that reports completion is clean
        erase(killed.store, [USER])
        assert traces(killed.store.root) == [], at
        assert whole(killed), at
        assert not read_forgotten(killed.store).pending
        assert Ledger.read(killed.store).counts() == Ledger.read(clean.store).counts()
        shutil.rmtree(killed.folder)


def test_the_command_previews_asks_and_reports(night: Night, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in night.store.root.rglob("*.parquet")}
    store = night.store.root
    shown = json.loads(call("forget", USER, "--dry-run", "--json", store=store).stdout)
    assert shown["dry_run"]
    places = {change["place"] for change in shown["changes"]}
    assert places == {"interactions", "quarantine", "releases", "reports", "runs"}
    declined = call("forget", USER, store=store, code=1, given="n\n")
    assert "What forgetting 1 user would remove" in declined.stdout
    assert "Aborted" in declined.stderr
    unknown = call("forget", USER, "nobody", "--yes", store=store, code=1).stderr
    assert "unknown users, so nothing was changed: 'nobody'" in unknown
    assert {path: path.stat().st_mtime_ns for path in night.store.root.rglob("*.parquet")} == before
    (tmp_path / "ids").write_text(f"{USER}\r\nnobody\n\n")
    arguments = ["--file", str(tmp_path / "ids"), "--allow-unknown"]
    printed = call("forget", *arguments, store=store, given="y\n").stdout
    assert "2 users forgotten" in printed
    assert "accepted events" in printed
    assert "not touched: the source logs" in printed
    assert traces(night.store.root) == []
    assert "nothing there" in call("forget", USER, "--yes", store=store).stdout


def test_nothing_is_forgotten_while_a_run_is_active(night: Night) -> None:
    with (
        night.store.date_lock(THIRD, "run"),
        pytest.raises(StoreLockedError, match=r"is active: wait for the run for 2026-03-04"),
    ):
        erase(night.store, [USER])
    assert not read_forgotten(night.store).digests


def test_a_damaged_release_is_not_rewritten_as_intact(night: Night) -> None:
    path = open_release(night.store, night.published()[0]).table("similar_items")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreError, match=r"is damaged, and rewriting it would hide that: similar_items"):
        erase(night.store, [USER])
    assert not read_forgotten(night.store).digests
    with pytest.raises(UserError, match="got none"):
        survey(night.store, [])
