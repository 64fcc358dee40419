"""The command `evaluate`: any models, split or published protocol, beside the reference models."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.commands.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from flows.output import terminal as out

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration
    from tasks.evaluation.evaluation import Evaluation
    from tasks.runtime.progress import Report

SplitName = Literal["temporal", "leave-last-out", "held-out-users", "rolling", "random"]
ProtocolName = Literal["ncf", "vae", "time"]
SEGMENTS_HELP = "Tables by segment: activity (users), popularity (items) or an attribute; repeatable."

AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="The date to run for; yesterday if left out."),
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of a model, such as als.factors=192; repeatable.")
]


def evaluate(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOf = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="duckdb or spark, if not as configured.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="The store's folder, if not as configured.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model to measure; those configured if left out. Repeatable.")
    ] = None,
    split: Annotated[SplitName, typer.Option(help="How the logs are split.")] = "temporal",
    windows: Annotated[int, typer.Option(min=1, help="Windows of a rolling split.")] = 3,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="A published protocol, on files instead of the logs.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder with the files of the protocol.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 1, 2, ... of a protocol.")] = 1,
    k: Annotated[list[int] | None, typer.Option(min=1, help="A length of list; repeatable.")] = None,
    changes: Changes = None,
    against: Annotated[str | None, typer.Option(help="Compare every model with this one, by user.")] = None,
    segments: Annotated[list[str] | None, typer.Option(help=SEGMENTS_HELP)] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure models beside the reference models, with intervals; publish nothing.

    The last events of the logs are the test (--split temporal). Other splits train in this process, on the
    same dataset.
    """
    if (protocol is None) != (data is None):
        raise typer.BadParameter("--protocol and --data FOLDER belong together")
    with out.user_errors():
        from flows.output.evaluation import print_evaluation
        from flows.output.progress import shown
        from tasks.evaluation.tables import document_of

        settings, ks = changes_of(changes or []), k or []
        with shown() as report:
            if protocol is not None and data is not None:
                from tasks.evaluation.protocols import of_protocol

                done = of_protocol(protocol, data, model or [], settings, seeds=seeds, ks=ks, report=report)
            else:
                from tasks.evaluation.evaluation import to_measure

                configured = _configured(config, engine, store)
                configuration = to_measure(configured, model or [], ks, settings)
                done = _of_logs(configuration, as_of, split, windows, report)
            document = document_of(done, against=against, segments=segments or [])
        if as_json:
            out.print_json(document)
        else:
            print_evaluation(document)


def changes_of(lines: list[str]) -> dict[str, dict[str, Any]]:
    """Return the settings by model of lines such as als.factors=192; UserError for a line of another form."""
    from flows.orchestration.parameters import overrides_of
    from tasks.runtime.errors import UserError

    changes: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in overrides_of(tuple(lines)).items():
        model, dot, name = key.partition(".")
        if not (dot and name):
            raise UserError(f"--set: expected model.key=value, such as als.factors=192, got {key!r}")
        changes[model][name] = value
    return dict(changes)


def _configured(config: Path, engine: str | None, store: Path | None) -> Configuration:
    """Return the configuration with what options replace."""
    from tasks.configuration.configuration import load

    overrides = {"engine.name": engine, "store.path": store and str(store.absolute())}
    return load(config, {key: value for key, value in overrides.items() if value is not None})


def _of_logs(
    configuration: Configuration, as_of: datetime | None, split: str, windows: int, report: Report
) -> Evaluation:
    """Take in new logs and measure on their dataset."""
    from flows.night.evaluation import measured_night, measured_split
    from flows.orchestration.parameters import yesterday

    day = as_of.date() if as_of else yesterday(configuration)
    if split == "temporal":
        return measured_night(configuration, day, report)
    return measured_split(configuration, day, split, windows, report)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("evaluate")(evaluate)
