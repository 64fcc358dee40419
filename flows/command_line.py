"""The command line `nightshelf`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.commands import (
    backfill,
    demo,
    doctor,
    evaluate,
    forget,
    init,
    releases,
    report,
    run,
    stack,
    tables,
    tune,
    verify,
)
from flows.output import terminal as out

app = typer.Typer(
    name="nightshelf",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print_line(f"nightshelf {version('nightshelf')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Nightly recommendation tables: interaction logs in, an atomically published release out."""


for commands in (
    init,
    run,
    demo,
    tables,
    releases,
    verify,
    report,
    doctor,
    backfill,
    stack,
    evaluate,
    tune,
    forget,
):
    commands.register(app)


def main() -> None:
    """Run the command line; a user's mistake prints one message and exits with 1, no traceback."""
    from tasks.runtime.garbage import collect_rarely
    from tasks.runtime.logs import write_logs

    collect_rarely()
    try:
        with out.user_errors():
            write_logs()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    app()
