"""The command that looks for damage: every file of the store beside what was recorded of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, StoreOption, find_store
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.monitoring.verification import Verification

DAMAGED_CODE = 3  # as of `status`: readers or runs would meet damage


def verify(
    as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG, store: StoreOption = None
) -> None:
    """Read every file of the releases and the interactions and name the damaged ones; exit code 3 for any."""
    with out.user_errors():
        from flows.output.progress import shown
        from tasks.monitoring.verification import verify_store

        place = find_store(config, store)
        with shown() as report:
            found = verify_store(place, report)
        if as_json:
            out.print_json(_facts(found))
        else:
            _print(found)
    if found.damaged:
        raise typer.Exit(DAMAGED_CODE)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("verify")(verify)


def _facts(found: Verification) -> dict[str, Any]:
    return dataclasses.asdict(found)


def _print(found: Verification) -> None:
    from tasks.store.files import readable

    for one in found.damaged:
        out.print_line(f"damaged: {one.path}: {one.problem}; {one.remedy}")
    for one in found.unrecorded:
        out.print_line(f"unknown: {one.path}: {one.problem}; {one.remedy}")
    speed = f"{found.seconds:.1f} s, {readable(found.bytes / max(found.seconds, 1e-9))}/s"
    damaged = f"{len(found.damaged)} damaged" if found.damaged else "nothing is damaged"
    out.print_line(f"{found.files:,} files, {readable(found.bytes)} read ({speed}): {damaged}")
