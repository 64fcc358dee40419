"""The command line as a process: start-up time, imports, exit codes, a closed pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from worlds.command_calls import MAIN
from worlds.paths import IMPORTABLE

from flows.command_line import app

HEAVY = {"torch", "prefect", "pyspark", "great_expectations", "numba", "implicit", "pandas", "scipy"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line in its own process."""
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    return subprocess.run([*MAIN, *arguments], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["status"],
        ["verify"],
        ["query", "FROM items"],
        ["show", "user", "10"],
        ["releases"],
        ["forget", "--help"],
    ],
)
def test_readers_load_nothing_heavy(root: Path, command: list[str]) -> None:
    arguments = command if "--help" in command else [*command, "--store", str(root)]
    code = (
        "import sys\nfrom flows.command_line import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    assert not HEAVY & set(result.stderr.split())


def test_the_version_is_that_of_the_package() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"nightshelf {version('nightshelf')}\n")


def test_help_prints_every_word_of_every_help_text() -> None:
    calls = CliRunner()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        printed = calls.invoke(app, [name, "--help"], env={"COLUMNS": "400"}).stdout
        shown = "".join(re.sub(r"[│╭╮╰╯─]", " ", printed).split())
        for text in (command.help, *(parameter.help for parameter in command.params)):
            written = (text or "").replace("\\[", "[").split("\f")[0]
            assert "".join(written.split()) in shown, (name, text)


def test_a_mistake_is_one_message_and_code_1(root: Path, tmp_path: Path) -> None:
    result = run("query", "SELECT nothing FROM items", "--store", str(root))
    assert result.returncode == 1
    assert result.stderr.startswith("error: Binder Error")
    assert result.stderr.count("\n") == 1
    assert run("status", "--store", str(tmp_path)).returncode == 3
    assert run("show", "nobody").returncode == 2


def test_a_closed_pipe_is_no_error(root: Path) -> None:
    command = f"{' '.join(MAIN[:2])} '{MAIN[2]}' query 'FROM range(200000)' --csv --store {root} | head -1"
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout == "range\n"
    assert "Traceback" not in result.stderr


def test_help_is_quick() -> None:
    before = os.times().children_user
    for arguments in (["--help"], ["run", "--help"]):
        subprocess.run(
            [*MAIN, *arguments], check=True, capture_output=True, env=os.environ | {"PYTHONPATH": IMPORTABLE}
        )
    assert os.times().children_user - before < 2  # CPU seconds of both together
