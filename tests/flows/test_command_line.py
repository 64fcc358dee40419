"""The commands that make releases: the demo and what it tells to do next, run, ingest, evaluate."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from worlds.command_calls import MAIN
from worlds.night_world import FIRST, SECOND, TABLES, Night, shop, write_logs
from worlds.paths import IMPORTABLE

from flows.command_line import app
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


def called(*words: str) -> Any:
    """Run a command in this process and return what it printed."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with the logs of four days and nothing taken in yet."""
    folder = tmp_path_factory.mktemp("shop")
    return shop(folder, write_logs(folder / "logs"))


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


def test_run_prints_stations_accounting_metrics_and_the_release(night: Night) -> None:
    words = ["--config", str(night.config), "--as-of", str(FIRST), "--no-prefect"]
    shown = called("run", *words).stdout
    for expected in ("interactions", "popular_items", "accepted", "quarantined", "unaccounted for", "ndcg@5"):
        assert expected in shown
    assert f"Release {night.pointed()} is active." in shown
    document = json.loads(called("run", *words, "--json").stdout)
    assert document["release_id"] == night.pointed()
    assert document["stations"][0]["facts"]["files_taken"] == 0


def test_ingest_prints_what_arrived(night: Night, tmp_path: Path) -> None:
    words = ["--config", str(night.config), "--as-of", str(SECOND), "--store", str(tmp_path / "other")]
    first = called("ingest", *words).stdout
    assert "2 files taken in, 0 known before." in first
    assert "quarantined" in first
    document = json.loads(called("ingest", *words, "--json").stdout)
    assert (document["files_taken"], document["files_known"]) == (0, 2)
    assert document["total"] == Ledger.read(Store(tmp_path / "other")).counts().model_dump()


def test_set_replaces_keys_of_the_configuration_at_any_depth(night: Night, tmp_path: Path) -> None:
    words = ["--config", str(night.config), "--as-of", str(FIRST), "--store", str(tmp_path / "other")]
    lines = ["evaluation.enabled=false", "train.models=['als']", "train.serve=als", "models.als.factors=3"]
    words += ["--no-prefect", "--json", *(word for line in lines for word in ("--set", line))]
    document = json.loads(called("run", *words).stdout)
    manifest = current(Store(tmp_path / "other")).manifest()
    assert manifest["release_id"] == document["release_id"]
    assert manifest["configuration"]["models"]["als"] == {"factors": 3, "iterations": 3}


@pytest.mark.parametrize("name", ["run", "ingest", "evaluate", "backfill"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("source.columns.usr=z", "unknown key 'usr' in [source.columns] (did you mean 'user'?); known: "),
        ("engine.memory.x=1", "expected a table at engine.memory, got '1GiB'"),
        ("factors", "overrides: expected key=value, such as engine.name=spark, got 'factors'"),
    ],
)
def test_a_wrong_key_of_set_is_one_message(night: Night, name: str, line: str, message: str) -> None:
    dates = ["--start", str(FIRST), "--end", str(FIRST)] if name == "backfill" else []
    result = CliRunner().invoke(app, [name, "--config", str(night.config), *dates, "--set", line])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert message in " ".join(result.stderr.split())


def test_yesterday_is_the_default_date(night: Night, tmp_path: Path) -> None:
    words = ["ingest", "--config", str(night.config), "--store", str(tmp_path / "other")]
    assert "4 files taken in" in called(*words).stdout


@pytest.mark.prefect
def test_a_mistake_under_prefect_is_one_message(prefect_server: str, night: Night, tmp_path: Path) -> None:
    words = ["run", "--config", str(night.config), "--as-of", "1999-01-01", "--store", str(tmp_path / "new")]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE, "PREFECT_API_URL": prefect_server}
    done = subprocess.run([*MAIN, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    problems = [line for line in done.stderr.splitlines() if not line[:2].isdigit()]  # the log has times
    assert problems[0].startswith("error: ")
    assert all(line.startswith("       ") for line in problems[1:])


def test_help_is_quick() -> None:
    before = os.times().children_user
    for words in (["--help"], ["run", "--help"]):
        subprocess.run(
            [*MAIN, *words], check=True, capture_output=True, env=os.environ | {"PYTHONPATH": IMPORTABLE}
        )
    assert os.times().children_user - before < 2  # seconds of the processor, both together
