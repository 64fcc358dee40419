"""The command `evaluate`: measure models by a split or published protocol, with references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
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
    from tasks.runtime.resources import Resources

SEGMENTS_HELP = "Tables by segment: activity (users), popularity (items) or an attribute; repeatable."

Models = Annotated[
    list[str] | None, typer.Option(help="A model to measure; default: the configured models. Repeatable.")
]
Protocol = Annotated[
    ProtocolName | None, typer.Option(help="A published protocol, on its files instead of the logs.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Replace a model's setting, such as als.factors=192, or a configuration key; repeatable.",
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
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds (1, 2, ...) for a protocol.")] = 1,
    k: Annotated[list[int] | None, typer.Option(min=1, help="A list length; repeatable.")] = None,
    changes: Changes = None,
    against: Annotated[
        str | None, typer.Option(help="Compare every model with this model, paired by user.")
    ] = None,
    segments: Annotated[list[str] | None, typer.Option(help=SEGMENTS_HELP)] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure models beside the reference models, with intervals; publish nothing.

    The test set is the last events of the logs (--split temporal). Other splits of the same dataset
    train in this process.
    """
    if (protocol is None) != (data is None):
        raise typer.BadParameter("--protocol and --data FOLDER belong together")
    with out.user_errors():
        from flows.output.evaluation import print_evaluation
        from flows.output.progress import show_progress
        from tasks.evaluation.evaluation import evaluation_configuration
        from tasks.evaluation.tables import evaluation_document

        request = _Request(model or [], k or [], *split_changes(changes or []))
        with show_progress() as report:
            if protocol is not None and data is not None:
                evaluation, resources = _evaluate_protocol(request, protocol, data, seeds, report)
            else:
                base = configured(config, override_lines(request.lines, engine, store))
                models, ks, settings = request.models, request.ks, request.settings
                configuration = evaluation_configuration(base, models, ks, settings)
                day, resources = date_of(as_of, configuration), configuration.resources
                evaluation = _evaluate_logs(configuration, day, split, windows, report)
            threads = resources.threads
            document = evaluation_document(evaluation, threads, against=against, segments=segments or [])
        if as_json:
            out.print_json(document)
        else:
            print_evaluation(document)


@dataclass(frozen=True)
class _Request:
    """The models, list lengths, lines that replace keys, and settings by model to measure with."""

    models: list[str]
    ks: list[int]
    lines: list[str]
    settings: dict[str, dict[str, Any]]


def split_changes(lines: Iterable[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the lines that replace configuration keys, and the model settings of the other lines.

    A setting is als.factors=192 or models.als.factors=192. Other forms raise UserError.
    """
    from tasks.configuration.configuration import Configuration, fields_of
    from tasks.configuration.overrides import overrides_of, parts_of
    from tasks.runtime.errors import UserError

    settings, configuration_lines = defaultdict[str, dict[str, Any]](dict), list[str]()
    sections = fields_of(Configuration).keys() - {"models"}
    for line in lines:
        ((key, value),) = overrides_of([line]).items()
        if parts_of(key)[0] in sections:
            configuration_lines.append(line)
            continue
        model, _, name = key.removeprefix("models.").partition(".")
        if not name:
            raise UserError(f"--set: expected model.key=value, such as als.factors=192, got {key!r}")
        settings[model][name] = value
    return configuration_lines, dict(settings)


def _evaluate_protocol(
    request: _Request, protocol: ProtocolName, data: Path, seeds: int, report: Report
) -> tuple[Evaluation, Resources]:
    """Measure on the files of a published protocol, without a configuration."""
    from tasks.evaluation.protocols import measure_under_protocol
    from tasks.runtime.errors import UserError
    from tasks.runtime.resources import machine_resources

    if request.lines:
        expected = "expected a model's setting with --protocol, such as als.factors=192"
        raise UserError(f"--set: {expected}, got {request.lines[0]!r}")
    resources, models, settings = machine_resources(), request.models, request.settings
    with resources.applied():
        options: dict[str, Any] = {"seeds": seeds, "ks": request.ks, "report": report}
        evaluation = measure_under_protocol(protocol, data, models, settings, resources=resources, **options)
        return evaluation, resources


def _evaluate_logs(
    configuration: Configuration, as_of: date, split: SplitName, windows: int, report: Report
) -> Evaluation:
    """Ingest new logs and measure on the dataset."""
    from flows.night.evaluation import evaluate_night, evaluate_split

    if split == "temporal":
        return evaluate_night(configuration, as_of, report)
    return evaluate_split(configuration, as_of, split, windows, report)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("evaluate")(evaluate)
