"""Running a command in this process, and the real command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from flows.commands import doctor as check_machine
from flows.commands import forget as forget_user
from flows.commands import init as propose_configuration
from flows.commands import releases as manage_releases
from flows.commands import tables as read_tables
from flows.commands import verify as find_damage

MAIN = [sys.executable, "-c", "from flows.command_line import main; main()"]

app = typer.Typer()
for module in (read_tables, manage_releases, find_damage, check_machine, forget_user, propose_configuration):
    module.register(app)


def call(
    *arguments: str, store: Path | None = None, code: int = 0, given: str | None = None, **env: str
) -> Any:
    """Run a command and return its output; assert its exit code."""
    command = [*arguments, "--store", str(store)] if store is not None else list(arguments)
    result = CliRunner().invoke(app, command, input=given, env={"NIGHTSHELF_CONFIG": "", **env})
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    assert "\x1b" not in result.output
    return result


def document(*arguments: str, store: Path, code: int = 0) -> Any:
    """Return the only JSON document that a command prints."""
    return json.loads(call(*arguments, "--json", store=store, code=code).stdout)
