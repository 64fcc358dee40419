"""The commands run and ingest: output, dates, overrides by --set, and mistakes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner
from worlds.command_calls import MAIN
from worlds.night_world import FIRST, SECOND, Night, shop, write_logs
from worlds.paths import IMPORTABLE

from flows.command_line import app
from tasks.dataset.freshness import Freshness
from tasks.interactions.ledger import Ledger
from tasks.release.releases import current
from tasks.store.layout import Store
from tasks.store.runs import read_records


def run_command(*arguments: str) -> Any:
    """Run a command in this process and return what it printed."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Return a shop with the logs of four days, none of them ingested."""
    folder = tmp_path_factory.mktemp("shop")
    return shop(folder, write_logs(folder / "logs"))


def test_run_prints_stations_accounting_metrics_and_the_release(night: Night) -> None:
    arguments = ["--config", str(night.config), "--as-of", str(FIRST), "--no-prefect"]
    shown = run_command("run", *arguments).stdout
    for expected in ("interactions", "popular_items", "accepted", "quarantined", "unaccounted for", "ndcg@5"):
        assert expected in shown
    assert f"Release {night.pointed()} is active." in shown
    document = json.loads(run_command("run", *arguments, "--json").stdout)
    assert document["release_id"] == night.pointed()
    assert document["stations"][0]["facts"]["files_taken"] == 0
    stations = {(station["kind"], station["model"]): station["facts"] for station in document["stations"]}
    assert str(Freshness.model_validate(stations["dataset", None]["freshness"])) in shown
    with_half_life = {model for (_, model), facts in stations.items() if "half_life_days" in facts}
    assert with_half_life == {"recent_popularity"}


def test_ingest_prints_what_arrived(night: Night, tmp_path: Path) -> None:
    arguments = ["--config", str(night.config), "--as-of", str(SECOND), "--store", str(tmp_path / "other")]
    first = run_command("ingest", *arguments).stdout
    assert "2 files ingested, 0 known before." in first
    assert "quarantined" in first
    document = json.loads(run_command("ingest", *arguments, "--json").stdout)
    assert (document["files_taken"], document["files_known"]) == (0, 2)
    assert document["total"] == Ledger.read(Store(tmp_path / "other")).counts().model_dump()


def test_set_replaces_keys_of_the_configuration_at_any_depth(night: Night, tmp_path: Path) -> None:
    arguments = ["--config", str(night.config), "--as-of", str(FIRST), "--store", str(tmp_path / "other")]
    lines = ["evaluation.enabled=false", "train.models=['als']", "train.serve=als", "models.als.factors=3"]
    arguments += ["--no-prefect", "--json", *(word for line in lines for word in ("--set", line))]
    document = json.loads(run_command("run", *arguments).stdout)
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
    arguments = ["ingest", "--config", str(night.config), "--store", str(tmp_path / "other")]
    assert "4 files ingested" in run_command(*arguments).stdout


@pytest.mark.prefect
def test_a_mistake_under_prefect_is_one_message(prefect_server: str, night: Night, tmp_path: Path) -> None:
    arguments = [
        "run",
        "--config",
        str(night.config),
        "--as-of",
        "1999-01-01",
        "--store",
        str(tmp_path / "new"),
    ]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE, "PREFECT_API_URL": prefect_server}
    completed = subprocess.run(
        [*MAIN, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 1
    assert completed.stdout == ""
    problems = [line for line in completed.stderr.splitlines() if not line[:2].isdigit()]  # the log has times
    assert problems[0].startswith("error: ")
    assert all(line.startswith("       ") for line in problems[1:])


def test_a_run_that_is_refused_at_once_says_so_before_a_server_starts(night: Night, tmp_path: Path) -> None:
    store = Store(tmp_path / "other")
    arguments = ["run", "--config", str(night.config), "--as-of", str(FIRST), "--store", str(store.root)]
    (tmp_path / "file").write_text("")
    refused = {
        ("--set", "source.path=/nowhere"): "[source] path = /nowhere: no such file or folder",
        ("--set", "items.path=/nowhere.csv"): "/nowhere.csv",
        ("--set", "source.paths=/nowhere"): "unknown key 'paths'",
        ("--resume", "--as-of", str(SECOND)): f"there is no run for {SECOND} to resume",
        ("--store", f"{tmp_path}/file/store"): f"{tmp_path}/file/store",
        (): "is locked by",
    }
    for words, message in refused.items():
        with store.date_lock(FIRST, "another run") if not words else nullcontext():
            result = CliRunner().invoke(app, [*arguments, *words], env={"PREFECT_API_URL": None})
        assert result.exit_code == 1
        assert message in result.stderr, words
        assert "Prefect" not in result.stderr
    assert [run.state for run in read_records(store)] == ["failed", "failed"]  # status and metrics know it


def test_ctrl_c_ends_a_run_with_its_temporary_server_and_says_what_continues_it(
    night: Night, tmp_path: Path
) -> None:
    """Neither a proxy nor a home that cannot be written stands between the run and its server."""
    store = tmp_path / "other"
    arguments = ["run", "--config", str(night.config), "--as-of", str(FIRST), "--store", str(store)]
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9", "NO_PROXY": "a.b"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {**proxies, "HOME": "/dev/null/home", "PYTHONPATH": IMPORTABLE, "CTRL_C": str(tmp_path)}
    with subprocess.Popen(
        [*MAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as command:
        assert command.stderr is not None
        read = []
        for line in command.stderr:
            read.append(line)
            if "validation_results" in line:
                os.killpg(command.pid, signal.SIGINT)  # as a terminal does: also to the server
        printed = command.stdout.read() if command.stdout else ""
    said = "".join(read)
    assert (command.returncode, printed) == (130, ""), said
    assert "Traceback" not in said
    assert f"it keeps its files in {store}" in said
    assert not [process for process in psutil.process_iter(["environ"]) if started_by(process, tmp_path)]
    last = shlex.split(said.splitlines()[-1])
    assert last[-1] == "--resume"
    assert [run.state for run in read_records(Store(store))] == ["interrupted"]
    run_command(*last[1:], "--no-prefect")
    assert [run.state for run in read_records(Store(store))] == ["published"]


def started_by(process: psutil.Process, folder: Path) -> bool:
    """Return whether the test that works in a folder started a process."""
    return bool(process.info["environ"]) and process.info["environ"].get("CTRL_C") == str(folder)
