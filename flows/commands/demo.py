"""The command `demo`: a made-up shop's logs and a night on them."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.run import Again, run_one, show_run
from flows.output import terminal as out

DEMO_START = date(2026, 9, 1)


def demo(
    *,
    folder: Annotated[Path, typer.Option(help="Where logs, configuration and store are put.")] = Path("demo"),
    users: Annotated[int, typer.Option(min=50)] = 3000,
    items: Annotated[int, typer.Option(min=50)] = 1000,
    days: Annotated[int, typer.Option(min=3)] = 28,
    events: Annotated[int, typer.Option(min=100, help="Events a day.")] = 8000,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    prefect: Annotated[bool, typer.Option(help="Run as a Prefect flow, or the same steps without.")] = True,
) -> None:
    """Write a shop's logs of four weeks, run a night on them, and show every table."""
    with out.user_errors():
        from flows.output.progress import shown
        from flows.output.run import print_demo
        from tasks.demo.logs import write_demo_logs

        config = write_demo_configuration(folder)
        with shown() as report:
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
        as_of = DEMO_START + timedelta(days=days - 1)
        again = Again(replace_changed=True)  # our own logs: another size is a change that is meant
        show_run(run_one(config, as_of, (), again, prefect=prefect), as_json=False)
        print_demo(config, as_of)


def write_demo_configuration(folder: Path) -> Path:
    """Put the demo's configuration into a folder, unless one is there; return its path."""
    import deployments

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nightshelf.toml"
    if not config.exists():
        shutil.copyfile(Path(next(iter(deployments.__path__))) / "demo.toml", config)
    return config


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("demo")(demo)
