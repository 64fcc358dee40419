"""The commands `run` and `ingest`: a whole night, or only the ingest of its logs."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from flows.commands.options import (
    DEFAULT_CONFIG,
    AsOfOption,
    ConfigOption,
    EngineOption,
    JsonOption,
    OtherStoreOption,
    PrefectOption,
    SetOption,
    configured,
    date_of,
    override_lines,
)
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration

ReplaceChanged = Annotated[
    bool, typer.Option("--replace-changed", help="Ingest files again that changed since they were ingested.")
]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Ingest every file again, after a change of \\[source].")
]


class Reingest(TypedDict, total=False):
    """Which files to ingest again."""

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
    prefect: PrefectOption = True,
    as_json: JsonOption = False,
) -> None:
    """Ingest new logs, validate, train, and publish the release of one date."""
    with out.user_errors():
        reingest = Reingest(replace_changed=replace_changed, rebuild=rebuild)
        lines = override_lines(changes, engine, store)
        day = as_of.date() if as_of else None
        record = run_night(config, day, lines, reingest, prefect=prefect, resume=resume)
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
    """Only ingest new logs: accept, quarantine and count rows; train and publish nothing."""
    with out.user_errors():
        from flows.night.run import ingest_only
        from flows.output.progress import show_progress
        from flows.output.run import print_accounting
        from tasks.interactions.late_events import late_events
        from tasks.store.layout import Store

        configuration = configured(config, override_lines(changes, engine, store))
        day = date_of(as_of, configuration)
        reingest = Reingest(replace_changed=replace_changed, rebuild=rebuild)
        with show_progress() as report:
            ingested = ingest_only(configuration, day, report=report, **reingest)
        late = late_events(Store(configuration.store.path), ingested.files, ingested.replaced, None)
        if as_json:
            out.print_json(ingested.facts() | {"late": late.model_dump(mode="json")})
        else:
            print_accounting(ingested, late)


def run_night(
    config: Path,
    as_of: date | None,
    overrides: tuple[str, ...],
    reingest: Reingest,
    *,
    prefect: bool,
    resume: bool = False,
) -> Any:
    """Run a night with or without Prefect; return its record, or exit with the message.

    `overrides` are lines `key=value` that replace configuration keys.
    """
    from flows.orchestration.parameters import yesterday
    from tasks.runtime.interruption import interruptible

    configuration = configured(config, overrides)
    day = as_of or yesterday(configuration)
    began_at = datetime.now(UTC)
    arguments = ["--config", str(config)] * (config != DEFAULT_CONFIG) + ["--as-of", str(day)]
    arguments += [word for line in overrides for word in ("--set", line)] + ["--no-prefect"] * (not prefect)

    def last_words() -> None:
        out.note(_how_to_continue(configuration.store.path, day, began_at, arguments))

    with interruptible(last_words):
        return _run_stations(config, configuration, day, overrides, reingest, prefect=prefect, resume=resume)


def _run_stations(
    config: Path,
    configuration: Configuration,
    day: date,
    overrides: tuple[str, ...],
    reingest: Reingest,
    *,
    prefect: bool,
    resume: bool,
) -> Any:
    from flows.output.progress import show_progress

    if not prefect or _is_refused_at_once(configuration, day, reingest, resume=resume):
        from flows.night import run as stations

        with show_progress() as report:
            return stations.run_night(
                configuration, day, report=report, resume="yes" if resume else "no", **reingest
            )
    prepare_prefect(configuration)
    with show_progress() as report:
        report("starting Prefect (the first temporary server takes up to a minute)", 0, 0)
        from flows.run_nightly import run_with_prefect

        record, message = run_with_prefect(
            config, day, report, overrides=overrides, resume=resume, **reingest
        )
    if record is None:
        out.fail(message)
    return record


def _is_refused_at_once(configuration: Configuration, day: date, reingest: Reingest, *, resume: bool) -> bool:
    """Return whether a run is sure to be refused: then it needs no Prefect server to record that.

    Raises
    ------
    UserError
        If it cannot even begin, or there is nothing to resume.
    """
    from flows.night.lifecycle import input_problem, require_startable
    from flows.night.resume import resumable_run

    store = require_startable(configuration, day)
    if resume:
        resumable_run(configuration, day, {key: bool(on) for key, on in reingest.items()}, store)
        return False  # it may need no input any more
    if os.environ.get("PREFECT_API_URL"):
        return False  # a server that runs anyway shows the run that failed
    return input_problem(configuration, day) is not None


def prepare_prefect(configuration: Configuration) -> None:
    """Set what Prefect reads when it is imported: it logs warnings only, and has a folder for its files."""
    from flows.orchestration.settings import require_home

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    moved = require_home(configuration.store.path)
    if moved:
        out.note(moved)


def _how_to_continue(store: Path, day: date, began_at: datetime, arguments: list[str]) -> str:
    """Return what to say about a run that was interrupted: what it did, and what continues it."""
    from tasks.store.layout import Store
    from tasks.store.runs import record_since

    record = record_since(Store(store), day, began_at)
    if record is None:
        return f"interrupted before the run for {day} began: nothing was changed"
    if record.state == "published":
        return f"interrupted, after the run for {day} published {record.release_id}"
    last = f"after the station {record.stations[-1].name}" if record.stations else "in its first station"
    command = shlex.join(["nightshelf", "run", *arguments, "--resume"])
    return (
        f"interrupted: the run for {day} stopped {last}; readers keep their release; to continue:\n{command}"
    )


def show_run(record: Any, as_json: bool) -> None:
    """Print the record of a run as JSON or as tables."""
    from flows.output.run import print_run

    if as_json:
        out.print_json(record.model_dump(mode="json"))
    else:
        print_run(record)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("run")(run)
    app.command("ingest")(ingest)
