"""Mistakes in a configuration through the real command line: exit code 1, a clear message."""

from __future__ import annotations

import os
import subprocess

import pytest
from typer.testing import CliRunner
from worlds.command_calls import MAIN
from worlds.paths import IMPORTABLE
from worlds.workspace import TEXT, Workspace

from flows.command_line import app


def test_missing_configuration(workspace: Workspace) -> None:
    workspace.config.unlink()
    assert "nightshelf.toml: cannot read the configuration: No such file" in workspace.refused()


def test_wrong_column_name(workspace: Workspace) -> None:
    workspace.configure(('item = "item"', 'item = "itm"'))
    message = workspace.refused()
    assert "'itm'" in message or "itm" in message
    assert "user, item, time, value" in message or all(name in message for name in ("user", "time", "value"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (("[top_n]\nn = 3", "[top_n]\nnn = 3"), "unknown key 'nn' in [top_n] (did you mean 'n'?); known: "),
        (("[engine]", "[engines]"), "unknown key 'engines' (did you mean 'engine'?); known: "),
        (('user = "user"', 'users = "user"'), "unknown key 'users' in [source.columns]"),
        (("threads = 1", "threads = many"), "not valid TOML"),
        (('memory = "512MiB"', 'memory = "lots"'), "expected a size such as 512MiB or 4GiB, got 'lots'"),
        (("n = 3", "n = 0"), "top_n.n"),
    ],
)
def test_mistakes_in_the_configuration(workspace: Workspace, changes: tuple[str, str], expected: str) -> None:
    workspace.configure(changes)
    message = workspace.refused()
    assert expected in message
    assert "nightshelf.toml" in message
    assert not workspace.store.root.exists()


def test_unknown_model(workspace: Workspace) -> None:
    workspace.configure(('models = ["popularity"]\nserve = "popularity"', 'models = ["asl"]\nserve = "asl"'))
    assert "unknown model 'asl'; known: als, " in workspace.refused()


def test_unknown_setting_of_a_model(workspace: Workspace) -> None:
    workspace.config.write_text(TEXT + "[models.als]\nfactor = 8\n", encoding="utf-8")
    assert "unknown key 'factor' in models.als" in workspace.refused()


def test_a_malformed_date(workspace: Workspace) -> None:
    result = CliRunner().invoke(app, [*workspace.arguments()[:-2], "02.03.2026"])
    assert result.exit_code == 2
    assert "02.03.2026" in result.stderr


def test_full_lists_longer_than_the_catalogue(workspace: Workspace) -> None:
    workspace.configure(("n = 3", 'n = 7\nshortage = "fail"'))
    message = workspace.refused()
    assert "7" in message
    assert "6" in message  # the number of items


def test_spark_without_java(workspace: Workspace) -> None:
    nothing = workspace.folder / "nothing"
    nothing.mkdir()
    environment = os.environ | {"PYTHONPATH": IMPORTABLE, "JAVA_HOME": str(nothing), "PATH": str(nothing)}

    def night(engine: str) -> subprocess.CompletedProcess[str]:
        options = ("--engine", engine, "--set", "engine.memory=1GiB")
        arguments = [*MAIN, *workspace.arguments(*options)]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    finished = night("spark")
    assert finished.returncode == 1
    assert "the Spark engine needs Java 17 or newer, got no Java: install" in workspace.message(
        finished.stderr
    )
    assert night("duckdb").returncode == 0
