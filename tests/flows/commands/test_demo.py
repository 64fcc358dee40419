"""The demo shows every table, and the commands that it recommends next work."""

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


def command(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a process of its own; a failure shows what it wrote.

    Its `__main__` has no file, which once ended a night in silence: pyspark took it for its own doctests.
    """
    given = os.environ | {"PYTHONPATH": IMPORTABLE} | environment
    done = subprocess.run([*MAIN, *words], cwd=cwd, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    return done


@pytest.mark.prefect
def test_the_demo_shows_every_table_and_its_next_commands_work(prefect_server: str, tmp_path: Path) -> None:
    shown = command("demo", "--folder", "my demo", *DEMO, "--no-prefect", cwd=tmp_path).stdout
    lines = [line.strip() for line in shown.splitlines()]
    for name in TABLES:
        start = lines.index(name)
        assert len([line for line in lines[start + 1 : start + 10] if line]) >= 4, f"no rows of {name}"
    next_ones = [shlex.split(line) for line in lines[lines.index("Next:") + 1 :] if line]
    assert [words[:2] for words in next_ones] == [
        ["nightshelf", "show"],
        ["nightshelf", "query"],
        ["nightshelf", "run"],
    ]
    store = Store(tmp_path / "my demo" / "nightshelf-store")
    before = current(store)
    for words in next_ones:
        changed = ["--set", "popular.n=7", "--set", "models.als.factors=4"] if words[1] == "run" else []
        assert command(*words[1:], *changed, cwd=tmp_path, PREFECT_API_URL=prefect_server).stdout
    after = current(store)
    settings = after.manifest()["configuration"]
    assert (settings["popular"]["n"], settings["models"]["als"]["factors"]) == (7, 4)
    assert (after.as_of - before.as_of).days == 1
    assert len(Ledger.read(store).files()) == 4
