"""The command `tune`: search a model's settings on past data, and test the improvement."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import (
    DAY_FORMATS,
    DEFAULT_CONFIG,
    ConfigOption,
    DataOption,
    JsonOption,
    OtherStoreOption,
    configured,
    date_of,
    override_lines,
)
from flows.output import terminal as out
from tasks.evaluation.names import ERROR_NAMES, FigureName, ProtocolName

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration
    from tasks.runtime.progress import Report
    from tasks.runtime.resources import Resources
    from tasks.tuning.search import Search, SearchResult

AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=DAY_FORMATS, help="The last date of the data; default: yesterday."),
]
Minutes = Annotated[
    float | None, typer.Option(min=0, help="Time limit of this call; the same command continues later.")
]
Protocol = Annotated[
    ProtocolName | None,
    typer.Option(help="Search on the validation part of a published protocol, not the logs."),
]
SecondFile = Annotated[Path | None, typer.Option(help="A second file for the snippet, beside the study's.")]
Metric = Annotated[
    FigureName | None,
    typer.Option(help="The metric to maximise, or an error to minimise; default: ndcg, of ratings rmse."),
]


def tune(
    model: Annotated[str, typer.Argument(help="The model whose settings are searched.")],
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOf = None,
    store: OtherStoreOption = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials of the study, including earlier ones.")] = 30,
    minutes: Minutes = None,
    windows: Annotated[int, typer.Option(min=1, help="Past windows that a trial is measured on.")] = 3,
    metric: Metric = None,
    k: Annotated[int, typer.Option(min=1, help="Length of the lists.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search; models keep their own.")] = 7,
    protocol: Protocol = None,
    data: DataOption = None,
    study: Annotated[Path, typer.Option(help="The folder for the study of a protocol.")] = Path("tuning"),
    write: SecondFile = None,
    as_json: JsonOption = False,
) -> None:
    """Search a model's settings on windows before the holdout, which it never reads; resumable."""
    if (protocol is None) != (data is None):
        raise typer.BadParameter("--protocol and --data FOLDER belong together")
    metric = _checked_metric(metric, protocol)
    with out.user_errors():
        from flows.output.progress import show_progress
        from tasks.runtime.resources import machine_resources
        from tasks.tuning.search import Search

        request = Search(model, {}, trials, seed, minutes)
        if protocol is not None and data is not None:
            from tasks.evaluation.protocols import require_ratings
            from tasks.tuning.protocol_window import validation_window
            from tasks.tuning.search import check_tunable

            require_ratings(protocol, [model])
            check_tunable(model)
            folder = study / f"{protocol}-{model}-{metric}-{k}-{seed}"
            resources = machine_resources()
            with show_progress() as report, resources.applied():
                window = validation_window(protocol, data, metric, k, resources)
                result = _search_study(request, [window], folder, report)
        else:
            configuration, day = _measuring_configuration(config, store, as_of)
            request = replace(request, configured=configuration.models.get(model, {}))
            choices = {"seed": seed, "windows": windows, "metric": metric, "k": k}
            resources = configuration.resources
            with show_progress() as report, resources.applied():
                result, folder = _search_logs(configuration, day, request, choices, report)
        measured = {"rmse": "-mse", "mse": "-mse", "mae": "-mae"}.get(metric, f"{metric}@{k}")
        _show_result(result, folder, request, measured, resources, write=write, as_json=as_json)


def _checked_metric(metric: FigureName | None, protocol: ProtocolName | None) -> FigureName:
    """Return the metric to search by; errors are for protocols of ratings alone, and they for these."""
    of_ratings = protocol is not None and protocol.startswith("ratings")
    if metric is None:
        return "rmse" if of_ratings else "ndcg"
    if (metric in ERROR_NAMES) != of_ratings:
        raise typer.BadParameter(f"--metric {metric}: errors are for ratings, other metrics for lists")
    return metric


def _measuring_configuration(
    config: Path, store: Path | None, as_of: datetime | None
) -> tuple[Configuration, date]:
    """Return the date and the configuration, with evaluation enabled whatever the file says."""
    configuration = configured(config, override_lines(["evaluation.enabled=true"], store=store))
    return configuration, date_of(as_of, configuration)


def _search_logs(
    configuration: Configuration, as_of: date, request: Search, choices: dict[str, Any], report: Report
) -> tuple[SearchResult, Path]:
    """Build the study's windows if missing, and run the remaining trials."""
    from tasks.store.layout import Store
    from tasks.tuning import windows as study_windows
    from tasks.tuning.search import check_tunable, search

    check_tunable(request.model)
    store = Store(configuration.store.path)
    study = study_windows.study_folder(configuration, store, as_of, request.model, **choices)
    with _lock_study(study):
        if not study_windows.is_built(study):
            _build_study(configuration, as_of, study, int(choices["windows"]), report)
        windows = study_windows.load_windows(configuration, study, str(choices["metric"]), int(choices["k"]))
        return search(request, windows, study, report), study


def _search_study(request: Search, windows: list[Any], study: Path, report: Report) -> SearchResult:
    """Run the remaining trials of a study outside a store."""
    from tasks.tuning.search import search

    with _lock_study(study):
        return search(request, windows, study, report)


def _build_study(configuration: Configuration, as_of: date, study: Path, count: int, report: Report) -> None:
    """Ingest new logs and write the windows; the holdout is that of a night."""
    from flows.night.night import Night
    from flows.night.run import dataset_only
    from tasks.configuration.engines import open_engine
    from tasks.tuning.windows import build_windows, remove_old_studies

    def work(night: Night) -> None:
        until = night.record.station("holdout").facts["cut"]
        with open_engine(configuration, night.folder.root) as engine:
            build_windows(
                configuration,
                night.ledger(),
                engine,
                as_of,
                past=night.folder.past,
                until=until,
                count=count,
                study=study,
            )

    dataset_only(configuration, as_of, work, "tuning", report=report)
    remove_old_studies(study.parent, configuration.store.keep_runs)


@contextmanager
def _lock_study(study: Path) -> Iterator[None]:
    """Lock a study; StoreLockedError at once if another process is working on it."""
    from filelock import FileLock, Timeout

    from tasks.runtime.errors import StoreLockedError
    from tasks.store.files import writing
    from tasks.tuning.windows import study_lock

    with writing(study):
        study.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(study_lock(study), timeout=0):
            yield
    except Timeout:
        raise StoreLockedError(f"another process is working on the study {study}") from None


def _show_result(
    result: SearchResult,
    study: Path,
    request: Search,
    metric: str,
    resources: Resources,
    *,
    write: Path | None,
    as_json: bool,
) -> None:
    """Print the result and write its snippet."""
    from tasks.tuning.result import compared_settings, snippet_of, verdict_of, write_snippet

    verdict = verdict_of(result, resources.threads)
    snippet = snippet_of(request.model, metric, result, verdict, " ".join(["nightshelf", *sys.argv[1:]]))
    for path in filter(None, (study / "tuned.toml", write)):
        write_snippet(path, snippet)
    if as_json:
        facts = {"best": result.best, "best_score": result.best_score, "configured": result.configured}
        facts |= {"configured_score": result.configured_score, "difference": verdict.difference}
        facts |= {"ci_low": verdict.low, "ci_high": verdict.high, "users": verdict.users}
        facts |= {"better": verdict.better, "trials": result.trials, "metric": metric, "study": str(study)}
        out.print_json({"model": request.model, **facts, "snippet": snippet})
        return
    rows: list[out.Row] = [(metric, f"{result.configured_score:.4f}", f"{result.best_score:.4f}")]
    rows += compared_settings(request.model, result)
    out.print_table(
        ("", "as configured", "best"), rows, f"{request.model}: {sum(result.trials.values())} trials"
    )
    for line in snippet.splitlines():
        out.print_line(line)
    out.print_line(
        f"Written to {write or study / 'tuned.toml'}; the same command with more --trials continues."
    )


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("tune")(tune)
