"""The command `nightshelf`: what a person does by hand."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from flows import (
    check_machine,
    find_damage,
    forget_user,
    manage_releases,
    open_report,
    order_backfill,
    order_evaluation,
    order_stack,
    order_tuning,
    read_tables,
)
from flows import print_tables as out

app = typer.Typer(
    name="nightshelf",
    help="Nightly recommendation tables: interaction logs in, an atomically published release out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="NIGHTSHELF_CONFIG", help="The configuration file.")
]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="The date to run for; yesterday if left out."),
]
StorePath = Annotated[Path | None, typer.Option("--store", help="The store's folder, if not as configured.")]
EngineName = Annotated[str | None, typer.Option("--engine", help="duckdb or spark, if not as configured.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ReplaceChanged = Annotated[
    bool, typer.Option("--replace-changed", help="Take files in again that changed since they were taken in.")
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Take every file in again, after a change of [source].")
]
DEFAULT = Path("nightshelf.toml")
DEMO_START = date(2026, 9, 1)


class Again(TypedDict, total=False):
    """What of the logs is taken in once more."""

    replace_changed: bool
    rebuild: bool


@app.command()
def run(
    *,
    config: Config = DEFAULT,
    as_of: AsOf = None,
    engine: EngineName = None,
    store: StorePath = None,
    replace_changed: ReplaceChanged = False,
    rebuild: Rebuild = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the date's last run, which did not publish.")
    ] = False,
    prefect: Annotated[bool, typer.Option(help="Run as a Prefect flow, or the same steps without.")] = True,
    as_json: AsJson = False,
) -> None:
    """Take in new logs, validate, train, and publish the release of one date."""
    with out.user_errors():
        again = Again(replace_changed=replace_changed, rebuild=rebuild)
        overrides = _overrides(engine, store)
        record = _night(config, _day(as_of), overrides, again, prefect=prefect, resume=resume)
        _print_run(record, as_json)


@app.command()
def ingest(
    *,
    config: Config = DEFAULT,
    as_of: AsOf = None,
    engine: EngineName = None,
    store: StorePath = None,
    replace_changed: ReplaceChanged = False,
    rebuild: Rebuild = False,
    as_json: AsJson = False,
) -> None:
    """Take in new logs only: accept, quarantine, count; train and publish nothing."""
    with out.user_errors():
        from flows.print_run import print_accounting
        from flows.run_stations import ingest_only
        from flows.show_progress import shown
        from tasks.interactions.late_events import late_events
        from tasks.store.layout import Store

        configuration = _load(config, _overrides(engine, store))
        day = _day(as_of) or _yesterday(configuration)
        again = Again(replace_changed=replace_changed, rebuild=rebuild)
        with shown() as report:
            done = ingest_only(configuration, day, report=report, **again)
        late = late_events(Store(configuration.store.path), done.files, done.replaced, None)
        if as_json:
            out.print_json(_ingest_facts(done) | {"late": late.model_dump(mode="json")})
        else:
            print_accounting(done, configuration.source.excluding(), late)


@app.command()
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
        from flows.print_run import print_demo
        from flows.show_progress import shown
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
        again = Again(
            replace_changed=True
        )  # the logs are ours: a demo of another size is a change that is right
        _print_run(_night(config, as_of, {}, again, prefect=prefect), as_json=False)
        print_demo(config, as_of)


def write_demo_configuration(folder: Path) -> Path:
    """Put the demo's configuration into a folder, unless one is there; return its path."""
    import deployments

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nightshelf.toml"
    if not config.exists():
        shutil.copyfile(Path(next(iter(deployments.__path__))) / "demo.toml", config)
    return config


def _night(
    config: Path,
    as_of: date | None,
    overrides: dict[str, Any],
    again: Again,
    *,
    prefect: bool,
    resume: bool = False,
) -> Any:
    """Run a night with or without Prefect; return its record or end the program with the message."""
    from flows.show_progress import shown

    configuration = _load(config, overrides)
    day = as_of or _yesterday(configuration)
    if not prefect:
        from flows.run_stations import run_night

        with shown() as report:
            return run_night(configuration, day, report=report, resume="yes" if resume else "no", **again)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    with shown() as report:
        report("starting Prefect (the first temporary server takes up to a minute)", 0, 0)
        from flows.run_nightly import run_with_prefect

        record, message = run_with_prefect(config, day, report, overrides=overrides, resume=resume, **again)
    if record is None:
        out.fail(message)
    return record


def _ingest_facts(done: Any) -> dict[str, Any]:
    """Return what an ingest did, in plain values."""
    return {
        "files_taken": done.taken,
        "files_known": done.known,
        "arrived": done.counts.model_dump(),
        "total": done.total.model_dump(),
        "repeated_before_rules": done.repeated_before_rules,
    }


def _load(config: Path, overrides: dict[str, Any]) -> Any:
    from tasks.configuration.configuration import load

    return load(config, overrides)


def _overrides(engine: str | None, store: Path | None) -> dict[str, Any]:
    """Return the keys of the configuration that options replace."""
    overrides: dict[str, Any] = {}
    if engine is not None:
        overrides["engine.name"] = engine
    if store is not None:
        overrides["store.path"] = str(store.absolute())
    return overrides


def _yesterday(configuration: Any) -> date:
    from tasks.runtime.clock import today

    return today(configuration.source.time_zone) - timedelta(days=1)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _print_run(record: Any, as_json: bool) -> None:
    from flows.print_run import print_run

    if as_json:
        out.print_json(record.model_dump(mode="json"))
    else:
        print_run(record)


for commands in (
    read_tables,
    manage_releases,
    find_damage,
    open_report,
    check_machine,
    order_backfill,
    order_stack,
    order_evaluation,
    order_tuning,
    forget_user,
):
    commands.register(app)


def main() -> None:
    """Run the command line; a mistake of the user is one message and exit code 1, never a traceback."""
    from tasks.runtime.logs import write_logs

    try:
        with out.user_errors():
            write_logs()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    app()
