"""The commands `run` and `ingest`: one date's night, or its logs alone."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from flows.commands.options import (
    DEFAULT_CONFIG,
    AsOfOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    OtherStoreOption,
    SetOption,
    configured,
    date_of,
    override_lines,
)
from flows.output import terminal as out

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
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    store: OtherStoreOption = None,
    changes: SetOption = None,
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
        lines = override_lines(changes, engine, store)
        day = as_of.date() if as_of else None
        record = run_one(config, day, lines, again, prefect=prefect, resume=resume)
        show_run(record, as_json)


def ingest(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    store: OtherStoreOption = None,
    changes: SetOption = None,
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

        configuration = configured(config, override_lines(changes, engine, store))
        day = date_of(as_of, configuration)
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
    overrides: tuple[str, ...],
    again: Again,
    *,
    prefect: bool,
    resume: bool = False,
) -> Any:
    """Run a night with or without Prefect; return its record or end the program with the message.

    `overrides` are lines `key=value` that replace keys of the configuration.
    """
    from flows.orchestration.parameters import yesterday
    from flows.output.progress import shown

    configuration = configured(config, overrides)
    day = as_of or yesterday(configuration)
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
