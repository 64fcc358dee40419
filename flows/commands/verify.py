"""The command `verify`: compare every file of the store with its recorded hash."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, StoreOption, find_store
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.monitoring.verification import Verification

DAMAGED_CODE = 3  # as the exit code of `status`: readers or runs would meet damage


def verify(
    as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG, store: StoreOption = None
) -> None:
    """Read all release and interaction files and list damaged ones; exit with 3 if any are."""
    with out.user_errors():
        from flows.output.progress import show_progress
        from tasks.monitoring.verification import verify_store

        with show_progress() as report:
            result = verify_store(find_store(config, store), report)
        if as_json:
            out.print_json(_facts(result))
        else:
            _print_result(result)
    if result.damaged:
        raise typer.Exit(DAMAGED_CODE)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("verify")(verify)


def _facts(result: Verification) -> dict[str, Any]:
    return dataclasses.asdict(result)


def _print_result(result: Verification) -> None:
    from tasks.store.files import readable

    for file in result.damaged:
        out.print_line(f"damaged: {file.path}: {file.problem}; {file.remedy}")
    for file in result.unrecorded:
        out.print_line(f"unknown: {file.path}: {file.problem}; {file.remedy}")
    speed = f"{result.seconds:.1f} s, {readable(result.bytes / max(result.seconds, 1e-9))}/s"
    damaged = f"{len(result.damaged)} damaged" if result.damaged else "nothing is damaged"
    out.print_line(f"{result.files:,} files, {readable(result.bytes)} read ({speed}): {damaged}")
