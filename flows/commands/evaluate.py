"""The command `evaluate`: any models, split or published protocol, beside the reference models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import (
    DEFAULT_CONFIG,
    AsOfOption,
    ConfigOption,
    DataOption,
    EngineOption,
    JsonOption,
    OtherStoreOption,
    configured,
    date_of,
    override_lines,
)
from flows.output import terminal as out
from tasks.evaluation.names import ProtocolName, SplitName

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration
    from tasks.evaluation.evaluation import Evaluation
    from tasks.runtime.progress import Report

SEGMENTS_HELP = "Tables by segment: activity (users), popularity (items) or an attribute; repeatable."

Models = Annotated[
    list[str] | None, typer.Option(help="A model to measure; those configured if left out. Repeatable.")
]
Protocol = Annotated[
    ProtocolName | None, typer.Option(help="A published protocol, on files instead of the logs.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Replace a model's setting, such as als.factors=192, or a key of the configuration; repeatable.",
    ),
]


def evaluate(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    store: OtherStoreOption = None,
    model: Models = None,
    split: Annotated[SplitName, typer.Option(help="How the logs are split.")] = "temporal",
    windows: Annotated[int, typer.Option(min=1, help="Windows of a rolling split.")] = 3,
    protocol: Protocol = None,
    data: DataOption = None,
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

        lines, settings = changes_of(changes or [])
        ks = k or []
        with shown() as report:
            if protocol is not None and data is not None:
                from tasks.evaluation.protocols import of_protocol

                _only_settings(lines)
                done = of_protocol(protocol, data, model or [], settings, seeds=seeds, ks=ks, report=report)
            else:
                from tasks.evaluation.evaluation import to_measure

                configuration = configured(config, override_lines(lines, engine, store))
                configuration = to_measure(configuration, model or [], ks, settings)
                done = _of_logs(configuration, as_of, split, windows, report)
            document = document_of(done, against=against, segments=segments or [])
        if as_json:
            out.print_json(document)
        else:
            print_evaluation(document)


def changes_of(lines: Iterable[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the lines that replace keys of the configuration, and the settings of the others by model.

    A setting is als.factors=192 or models.als.factors=192. UserError for a line of another form.
    """
    from tasks.configuration.configuration import Configuration
    from tasks.configuration.overrides import overrides_of, parts_of
    from tasks.runtime.errors import UserError

    settings, of_configuration = defaultdict[str, dict[str, Any]](dict), list[str]()
    sections = Configuration.model_fields.keys() - {"models"}
    for line in lines:
        ((key, value),) = overrides_of([line]).items()
        if parts_of(key)[0] in sections:
            of_configuration.append(line)
            continue
        model, _, name = key.removeprefix("models.").partition(".")
        if not name:
            raise UserError(f"--set: expected model.key=value, such as als.factors=192, got {key!r}")
        settings[model][name] = value
    return of_configuration, dict(settings)


def _only_settings(lines: list[str]) -> None:
    """Raise UserError for a line that replaces a key of the configuration, which a protocol does not read."""
    from tasks.runtime.errors import UserError

    if lines:
        raise UserError(
            f"--set: expected a model's setting with --protocol, such as als.factors=192, got {lines[0]!r}"
        )


def _of_logs(
    configuration: Configuration, as_of: datetime | None, split: str, windows: int, report: Report
) -> Evaluation:
    """Take in new logs and measure on their dataset."""
    from flows.night.evaluation import measured_night, measured_split

    day = date_of(as_of, configuration)
    if split == "temporal":
        return measured_night(configuration, day, report)
    return measured_split(configuration, day, split, windows, report)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("evaluate")(evaluate)
