"""Full, read-only and forbidden disks: a clear message, and yesterday's release stays current."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from worlds.paths import IMPORTABLE
from worlds.workspace import DATE, DAY, GOOD, Workspace

from flows.command_line import app
from flows.night.retries import run_directly
from flows.night.run import run_night
from tasks.configuration.configuration import load
from tasks.monitoring.verification import verify_store
from tasks.release.releases import current
from tasks.runtime.errors import EXPECTED_ERRORS
from tasks.store.layout import Store
from tasks.store.runs import last_run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 1 MiB; mounting it needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", "size=1m", "none", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _mount(*arguments: str) -> None:
    finished = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if finished.returncode:
        pytest.skip(f"cannot mount a file system: {finished.stderr.strip()}")


def test_no_disk_space_at_the_start(workspace: Workspace, small_disk: Path) -> None:
    full = Workspace(small_disk)
    full.configure(('path = "logs"', f'path = "{workspace.folder}/logs"'))
    message = full.refused()
    assert f"not enough disk space in {small_disk}/nightshelf-store: needed 512.0 MiB, free " in message


@pytest.mark.parametrize("limit", [2_000, 20_000])
def test_no_room_for_a_file(workspace: Workspace, limit: int) -> None:
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from flows.command_line import main\n"
        "main()"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment["PYTHONPATH"] = IMPORTABLE
    arguments = [sys.executable, "-c", code, *workspace.arguments()]
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    message = workspace.message(finished.stderr)
    assert "File too large" in message or "the file is larger than the system allows" in message


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace with a release, and a log that arrived after it."""
    workspace = Workspace(tmp_path_factory.mktemp("yesterday"))
    workspace.configure()
    workspace.logs(*GOOD)
    assert workspace.run().exit_code == 0
    workspace.logs(f"u9,i1,{DAY}T11:00:00Z,1", name="more.csv")
    return workspace


def with_a_release(yesterday: Workspace, disk: Path) -> Workspace:
    """Return a copy of a workspace with its logs and release, on a disk of 600 MiB."""
    _mount("-o", "remount,size=600m", str(disk))
    there = Workspace(disk)
    there.configure(('path = "logs"', f'path = "{yesterday.folder}/logs"'))
    shutil.copytree(yesterday.store.root, there.store.root)
    return there


@pytest.mark.parametrize("station", ["interactions", "dataset", "recommendations", "release"])
def test_no_disk_space_in_the_middle(yesterday: Workspace, small_disk: Path, station: str) -> None:
    full = with_a_release(yesterday, small_disk)
    before = current(full.store)

    def step(name: str, work: Callable[[], Any]) -> Any:
        if name == station:
            disk = os.statvfs(small_disk)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            _mount("-o", f"remount,size={used + 8192}", str(small_disk))
        return run_directly(name, work)

    with pytest.raises(EXPECTED_ERRORS, match=r"[Nn]o space left on (the disk|device)|disk is full"):
        run_night(load(full.config), DATE, step=step)
    assert last_run(full.store).state in {
        "failed",
        "running",
    }  # running, if the record could not be written either
    assert current(full.store) == before
    assert verify_store(full.store).damaged == []
    assert not leftovers(full.store)
    _mount("-o", "remount,size=600m", str(small_disk))
    assert full.run().exit_code == 0
    assert current(full.store) != before
    assert verify_store(full.store).damaged == []


def leftovers(store: Store) -> list[Path]:
    """Return half-written files and leftovers, whose names start with a dot."""
    return [path for path in store.root.rglob(".*") if path.name not in {".lock", ".locks"}]


@pytest.mark.parametrize("command", ["run", "ingest"])
def test_a_store_that_became_read_only_keeps_its_release(
    yesterday: Workspace, small_disk: Path, command: str
) -> None:
    there = with_a_release(yesterday, small_disk)
    before = current(there.store)
    _mount("-o", "remount,ro", str(small_disk))
    arguments = [command, "--config", str(there.config), "--as-of", DAY]
    refused = CliRunner().invoke(app, [*arguments, "--no-prefect"] if command == "run" else arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    message = f"error: cannot write {there.store.root}"
    assert refused.stderr.startswith(message)
    assert refused.stderr.endswith("the file system is read-only\n")
    for reading in (["verify"], ["query", "FROM release_info"]):
        read = CliRunner().invoke(app, [*reading, "--store", str(there.store.root)])
        assert read.exit_code == 0, read.output
    assert current(there.store) == before


def test_store_that_cannot_be_written(workspace: Workspace, small_disk: Path) -> None:
    read_only = Workspace(small_disk)
    read_only.configure(('path = "logs"', f'path = "{workspace.folder}/logs"'))
    _mount("-o", "remount,ro", str(small_disk))
    message = read_only.refused()
    assert f"cannot write {small_disk}/nightshelf-store: the file system is read-only" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_store_without_permission(workspace: Workspace) -> None:
    workspace.folder.chmod(0o555)
    assert "permission denied" in workspace.refused()
    workspace.folder.chmod(0o755)


def test_store_path_that_is_a_file(workspace: Workspace) -> None:
    workspace.store.root.write_text("not a folder")
    result = workspace.run()
    assert result.exit_code == 1
    assert "a file stands where a folder is needed" in result.stderr
