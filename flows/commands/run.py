"""The commands `run` and `ingest`: one date's night, or its logs alone."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from flows.output import terminal as out

AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="The date to run for; yesterday if left out."),
]
StorePath = Annotated[Path | None, typer.Option("--store", help="The store's folder, if not as configured.")]
EngineName = Annotated[str | None, typer.Option("--engine", help="duckdb or spark, if not as configured.")]
ReplaceChanged = Annotated[
    bool, typer.Option("--replace-changed", help="Take files in again that changed since they were taken in.")
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Take every file in again, after a change of [source].")
]


class Again(TypedDict, total=False):
    """What of the logs is taken in once more."""

    replace_changed: bool
    rebuild: bool


def run(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOf = None,
    engine: EngineName = None,
    store: StorePath = None,
    replace_changed: ReplaceChanged = False,
    rebuild: Rebuild = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the date's last run, which did not publish.")
    ] = False,
    prefect: Annotated[bool, typer.Option(help="Run as a Prefect flow, or the same steps without.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Take in new logs, validate, train, and publish the release of one date."""
    with out.user_errors():
        again = Again(replace_changed=replace_changed, rebuild=rebuild)
        overrides = _overrides(engine, store)
        record = run_one(config, _day(as_of), overrides, again, prefect=prefect, resume=resume)
        show_run(record, as_json)


def ingest(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOf = None,
    engine: EngineName = None,
    store: StorePath = None,
    replace_changed: ReplaceChanged = False,
    rebuild: Rebuild = False,
    as_json: JsonOption = False,
) -> None:
    """Take in new logs only: accept, quarantine, count; train and publish nothing."""
    with out.user_errors():
        from flows.night.run import ingest_only
        from flows.output.progress import shown
        from flows.output.run import print_accounting
        from tasks.interactions.late_events import late_events
        from tasks.store.layout import Store

        configuration = _configuration(config, _overrides(engine, store))
        day = _day(as_of) or _yesterday(configuration)
        again = Again(replace_changed=replace_changed, rebuild=rebuild)
        with shown() as report:
            done = ingest_only(configuration, day, report=report, **again)
        late = late_events(Store(configuration.store.path), done.files, done.replaced, None)
        if as_json:
            out.print_json(_ingest_facts(done) | {"late": late.model_dump(mode="json")})
        else:
            print_accounting(done, configuration.source.excluding(), late)


def run_one(
    config: Path,
    as_of: date | None,
    overrides: dict[str, Any],
    again: Again,
    *,
    prefect: bool,
    resume: bool = False,
) -> Any:
    """Run a night with or without Prefect; return its record or end the program with the message."""
    from flows.output.progress import shown

    configuration = _configuration(config, overrides)
    day = as_of or _yesterday(configuration)
    if not prefect:
        from flows.night.run import run_night

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


def show_run(record: Any, as_json: bool) -> None:
    """Print the record of a run: as JSON, or as its tables."""
    from flows.output.run import print_run

    if as_json:
        out.print_json(record.model_dump(mode="json"))
    else:
        print_run(record)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("run")(run)
    app.command("ingest")(ingest)


def _ingest_facts(done: Any) -> dict[str, Any]:
    """Return what an ingest did, in plain values."""
    return {
        "files_taken": done.taken,
        "files_known": done.known,
        "arrived": done.counts.model_dump(),
        "total": done.total.model_dump(),
        "repeated_before_rules": done.repeated_before_rules,
    }


def _configuration(config: Path, overrides: dict[str, Any]) -> Any:
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
