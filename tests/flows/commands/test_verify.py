"""Bit rot: `verify` names every damaged file, runs refuse it, and its advice repairs it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner
from worlds.night_world import FIRST, QUICK, SECOND, Night, shop, write_logs

from flows.command_line import app
from flows.night.pointer import point_readers
from flows.night.run import ingest_only, run_night
from tasks.interactions.ledger import Ledger
from tasks.monitoring.verification import verify_store
from tasks.quality.champion import champion_folder
from tasks.release.releases import current
from tasks.runtime.errors import DamagedError

FEW = {"train__models": ["popularity"], "train__serve": "popularity"}
KINDS = {
    "pointer": "current.json",
    "table": "releases/*/*.parquet",
    "database": "releases/*/nightshelf.duckdb",
    "manifest": "releases/*/manifest.json",
    "interactions": "interactions/*/*.parquet",
    "quarantine": "quarantine/*/*.parquet",
    "ingest": "ingests/*.json",
    "champion": "champions/*/**/*.*",
    "run": "runs/*/*/run.json",
}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a store after a night, with every kind of file that verify checks."""
    folder = tmp_path_factory.mktemp("nights")
    night = shop(folder, write_logs(folder / "logs", days=2))
    with (night.logs / f"events-{FIRST}.csv").open("a", encoding="utf-8") as log:
        log.write("nonsense\n")
    run_night(night.configured(**FEW), FIRST)
    return night


@pytest.fixture
def night(nights: Night, tmp_path: Path) -> Night:
    return nights.copy(tmp_path / "shop")


def files(night: Night, kind: str) -> list[Path]:
    matches = sorted(path for path in night.store.root.glob(KINDS[kind]) if path.is_file())
    assert matches, kind
    return matches


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(content)


def verify(night: Night, code: int, *options: str) -> Any:
    result = CliRunner().invoke(app, ["verify", "--store", str(night.store.root), *options])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_each_of_200_flipped_bits_is_detected(nights: Night) -> None:
    chosen = random.Random(5)  # noqa: S311
    kinds: set[str] = set()
    assert verify_store(nights.store).damaged == []
    for number in range(200):
        kind = list(KINDS)[number % len(KINDS)]
        path = chosen.choice(files(nights, kind))
        bit = chosen.randrange(8 * path.stat().st_size)
        flip(path, bit)
        damaged = [file.path for file in verify_store(nights.store).damaged]
        flip(path, bit)
        assert damaged == [str(path.relative_to(nights.store.root))], (kind, bit)
        kinds.add(kind)
    assert kinds == set(KINDS)
    assert verify_store(nights.store).damaged == []


def test_verify_checks_every_file_except_scratch(nights: Night) -> None:
    root = nights.store.root
    looked_at = {path for kind in KINDS for path in files(nights, kind)}
    there = {path for path in root.rglob("*") if path.is_file()} - looked_at
    scratch = {path for path in there if path.is_relative_to(nights.store.runs)}
    rewritten = {root / "metrics.prom", root / ".lock"}  # figures that are also elsewhere; an empty file
    assert there - scratch == rewritten
    assert verify_store(nights.store).files == len(looked_at)


def test_verify_prints_damaged_files_and_remedies(night: Night) -> None:
    whole = verify(night, 0)
    assert whole.stdout.count("\n") == 1
    assert whole.stdout.endswith(": nothing is damaged\n")
    part, table = files(night, "interactions")[0], current(night.store).table("recommendations")
    flip(part, 99)
    table.chmod(0o644)
    table.write_bytes(table.read_bytes()[:-1])
    lines = verify(night, 3).stdout.splitlines()
    assert lines[0].startswith(f"damaged: {part.relative_to(night.store.root)}: expected sha256 ")
    assert f"`nightshelf ingest --rebuild` (it has rows of {night.logs}/events-{FIRST}.csv" in lines[0]
    assert lines[1].startswith(f"damaged: {table.relative_to(night.store.root)}: expected ")
    assert (
        "`nightshelf rollback` points readers to the previous release; then `nightshelf run --as-of"
        in lines[1]
    )
    assert lines[2].endswith(": 2 damaged")
    document = json.loads(verify(night, 3, "--json").stdout)
    assert [file["path"] for file in document["damaged"]] == [line.split(": ")[1] for line in lines[:2]]


def unsealed(night: Night, kind: str, *keys: str) -> None:
    """Rewrite files of a kind as version 0.1 wrote them."""
    for path in files(night, kind):
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            path.chmod(0o644)
            path.write_text(json.dumps({k: v for k, v in content.items() if k not in keys}))


def test_hashes_missing_from_an_older_version_are_reported(night: Night) -> None:
    seal = ("seal", "sealed_by")
    for kind, keys in {"pointer": ["left"], "manifest": [], "ingest": ["hashes"], "run": []}.items():
        unsealed(night, kind, *seal, *keys)
    for path in night.store.champions.glob("*/champion.json"):
        path.write_text(
            json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k not in (*seal, "files")})
        )
    lines = verify(night, 0).stdout.splitlines()
    assert all(line.startswith("unknown: ") and "no hash recorded" in line for line in lines[:-1])
    assert {line.split(": ")[1].partition("/")[0] for line in lines[:-1]} == {
        "current.json",
        "releases",
        "ingests",
        "champions",
        "runs",
    }
    files(night, "interactions")[0].unlink()
    flip(files(night, "database")[0], 12345)
    lines = [line for line in verify(night, 3).stdout.splitlines() if line.startswith("damaged")]
    assert [("is missing" in line, "nightshelf.duckdb" in line) for line in lines] == [
        (True, False),
        (False, True),
    ]
    night.store.pointer.write_text('{"release_id": "2026-03-02-none", "history": []}')
    assert "damaged: current.json: points to 2026-03-02-none, which does not exist" in verify(night, 3).stdout


def test_a_night_refuses_damaged_interactions_and_a_rebuild_repairs_them(night: Night) -> None:
    rows = Ledger.read(night.store).counts()
    flip(files(night, "interactions")[-1], 777)
    with pytest.raises(DamagedError, match=r"expected sha256 .*; ingest the logs again with `nightshelf ing"):
        run_night(night.configured(**QUICK), SECOND)
    assert current(night.store).as_of == FIRST
    ingest_only(night.configured(**QUICK), SECOND, rebuild=True)
    assert verify_store(night.store).damaged == []
    assert Ledger.read(night.store).known_on(FIRST) == rows
    run_night(night.configured(**QUICK), SECOND)
    assert current(night.store).as_of == SECOND


def test_a_store_is_intact_after_forgetting_and_damage_prevents_it(night: Night) -> None:
    (user,) = duckdb.sql(f"SELECT min(user_id) FROM '{files(night, 'interactions')[0]}'").fetchall()[0]
    arguments = ["forget", user, "--yes", "--store", str(night.store.root)]
    part = files(night, "interactions")[-1]
    flip(part, 4444)
    assert "expected sha256" in CliRunner().invoke(app, arguments).stderr
    flip(part, 4444)
    forgotten = CliRunner().invoke(app, arguments)
    assert forgotten.exit_code == 0, forgotten.output
    matches = verify_store(night.store)
    assert (matches.damaged, matches.unrecorded) == ([], [])
    flip(night.store.root / "forgotten.json", 500)
    assert "restore it from a backup" in verify(night, 3).stdout


def test_a_damaged_ingest_record_stops_runs_until_removed(night: Night) -> None:
    rows = Ledger.read(night.store).counts()
    first = files(night, "ingest")[0]
    flip(first, 1000)
    with pytest.raises(DamagedError, match="remove it and ingest the logs again"):
        ingest_only(night.configured(**FEW), FIRST)
    assert "remove it and ingest the logs again" in verify(night, 3).stdout
    first.unlink()
    ingest_only(night.configured(**FEW), FIRST, rebuild=True)
    assert verify_store(night.store).damaged == []
    assert Ledger.read(night.store).counts() == rows


def refused(work: Callable[[], Any], match: str) -> None:
    with pytest.raises(DamagedError, match=match):
        work()


def test_naming_a_release_repairs_a_damaged_pointer(night: Night) -> None:
    flip(night.store.pointer, 300)
    refused(lambda: current(night.store), "nightshelf publish <id>")
    refused(lambda: point_readers(night.store, None, "rollback"), "nightshelf publish <id>")
    assert verify(night, 3).stdout.startswith("damaged: current.json: ")
    release = night.published()[0]
    mended = CliRunner().invoke(app, ["publish", release, "--store", str(night.store.root)])
    assert mended.stdout == f"readers moved from a damaged pointer to {release}\n"
    assert current(night.store).release_id == release
    assert verify_store(night.store).damaged == []


def test_a_night_refuses_a_damaged_champion_until_it_is_removed(night: Night) -> None:
    folder = champion_folder(night.store, current(night.store).release_id)
    flip(folder / "items.parquet", 50)
    refused(lambda: run_night(night.configured(**FEW), SECOND), "remove the folder")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    run_night(night.configured(**FEW), SECOND)
    assert current(night.store).as_of == SECOND
