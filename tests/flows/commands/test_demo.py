"""The demo shows every table, and its suggested commands work."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from worlds.command_calls import MAIN
from worlds.night_world import TABLES
from worlds.paths import IMPORTABLE

from tasks.interactions.ledger import Ledger
from tasks.release.releases import current
from tasks.store.layout import Store

DEMO = ["--users", "50", "--items", "50", "--days", "3", "--events", "150"]


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line in its own process; a failure shows its output.

    Its `__main__` has no file, which once ended a night silently: pyspark took it for doctests.
    """
    variables = os.environ | {"PYTHONPATH": IMPORTABLE} | environment
    result = subprocess.run(
        [*MAIN, *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    return result


@pytest.mark.prefect
def test_the_demo_shows_every_table_and_its_next_commands_work(prefect_server: str, tmp_path: Path) -> None:
    shown = command("demo", "--folder", "my demo", *DEMO, "--no-prefect", cwd=tmp_path).stdout
    lines = [line.strip() for line in shown.splitlines()]
    assert "there are no lists to judge" in shown  # the first night: readers had nothing before
    for name in sorted({*TABLES} - {"release_scores"}):
        start = lines.index(name)
        assert len([line for line in lines[start + 1 : start + 10] if line]) >= 4, f"no rows of {name}"
    assert "release_scores: no rows yet" in lines
    next_commands = [shlex.split(line) for line in lines[lines.index("Next:") + 1 :] if line]
    assert [arguments[:2] for arguments in next_commands] == [
        ["nightshelf", "show"],
        ["nightshelf", "query"],
        ["nightshelf", "run"],
    ]
    store = Store(tmp_path / "my demo" / "nightshelf-store")
    before = current(store)
    for arguments in next_commands:
        changed = ["--set", "popular.n=7", "--set", "models.als.factors=4"] if arguments[1] == "run" else []
        changed += ["--set", "train.models=['als','popularity']"] if changed else []
        assert command(*arguments[1:], *changed, cwd=tmp_path, PREFECT_API_URL=prefect_server).stdout
    after = current(store)
    settings = after.manifest()["configuration"]
    assert (settings["popular"]["n"], settings["models"]["als"]["factors"]) == (7, 4)
    assert (after.as_of - before.as_of).days == 1
    assert after.manifest()["files"]["release_scores.parquet"]["rows"] > 0
    assert len(Ledger.read(store).files()) == 4
