"""The command `report`: where the page about a run or a release is, and opening it."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption, StoreOption, find_store
from flows.output import terminal as out

RunOption = Annotated[str | None, typer.Option("--run", help="A run's id; the last run if left out.")]
ReleaseOption = Annotated[str | None, typer.Option("--release", help="A release's id, instead of a run's.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Open it in the browser.")]


def report(
    *,
    run: RunOption = None,
    release: ReleaseOption = None,
    open_it: OpenOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    store: StoreOption = None,
) -> None:
    """Print the path of the page about a run or a release, and open it if asked."""
    if run is not None and release is not None:
        raise typer.BadParameter("--run and --release exclude each other")
    with out.user_errors():
        from tasks.report.paths import find_report

        path = find_report(find_store(config, store), run, release)
        if as_json:
            out.print_json({"report": str(path)})
        else:
            out.print_line(str(path))
        if open_it:
            import webbrowser

            if not webbrowser.open(path.as_uri()):
                out.fail("no browser opened it; BROWSER names the one to use")


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("report")(report)
