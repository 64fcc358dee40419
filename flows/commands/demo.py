"""The command `demo`: generate a shop's logs and run a night on them."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import PrefectOption
from flows.commands.run import Reingest, run_night, show_run
from flows.output import terminal as out

DEMO_START = date(2026, 9, 1)


def demo(
    *,
    folder: Annotated[Path, typer.Option(help="The folder for logs, configuration and store.")] = Path(
        "demo"
    ),
    users: Annotated[int, typer.Option(min=50)] = 3000,
    items: Annotated[int, typer.Option(min=50)] = 1000,
    days: Annotated[int, typer.Option(min=3)] = 28,
    events: Annotated[int, typer.Option(min=100, help="Events per day.")] = 8000,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    shape: Annotated[
        str | None,
        typer.Option(help="A log of another shape: news, groceries, music, tiny, head or two_days."),
    ] = None,
    prefect: PrefectOption = True,
) -> None:
    """Write four weeks of a shop's logs, run a night on them, and show every table."""
    with out.user_errors():
        from flows.output.progress import show_progress
        from flows.output.run import print_demo
        from tasks.demo.logs import write_demo_logs
        from tasks.demo.shapes import write_shape

        as_of = DEMO_START + timedelta(days=days - 1)
        with show_progress() as report:
            if shape is not None:
                as_of = write_shape(folder, shape, start=DEMO_START, seed=seed)
            else:
                write_demo_configuration(folder)
                write_demo_logs(
                    folder / "logs",
                    start=DEMO_START,
                    days=days + 1,
                    users=users,
                    items=items,
                    events_per_day=events,
                    seed=seed,
                    progress=lambda done, of: report("demo: writing logs", done, of),
                )
        config = folder / "nightshelf.toml"
        reingest = Reingest(replace_changed=True)  # the demo rewrites its logs on purpose
        show_run(run_night(config, as_of, (), reingest, prefect=prefect), as_json=False)
        print_demo(config, as_of)


def write_demo_configuration(folder: Path) -> Path:
    """Write the demo's configuration into a folder, unless it has one; return its path."""
    import deployments

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nightshelf.toml"
    if not config.exists():
        shutil.copyfile(Path(next(iter(deployments.__path__))) / "demo.toml", config)
    return config


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("demo")(demo)
