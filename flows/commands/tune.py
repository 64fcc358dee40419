"""The command `tune`: search a model's settings on the past, and say whether they are better than noise."""

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
from tasks.evaluation.names import MetricName, ProtocolName

if TYPE_CHECKING:
    from tasks.configuration.configuration import Configuration
    from tasks.runtime.progress import Report
    from tasks.tuning.search import Found, Search

AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=DAY_FORMATS, help="The last date of the data; yesterday if left out."),
]
Minutes = Annotated[
    float | None, typer.Option(min=0, help="Time for this call; the same command goes on later.")
]


def tune(
    model: Annotated[str, typer.Argument(help="The model whose settings are searched.")],
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    as_of: AsOf = None,
    store: OtherStoreOption = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials of the study, those done before included.")] = 30,
    minutes: Minutes = None,
    windows: Annotated[int, typer.Option(min=1, help="Windows of the past that a trial is judged on.")] = 3,
    metric: Annotated[MetricName, typer.Option(help="What is to be large.")] = "ndcg",
    k: Annotated[int, typer.Option(min=1, help="Length of the lists.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search; models keep theirs.")] = 7,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="The validation part of a published protocol, not the logs.")
    ] = None,
    data: DataOption = None,
    study: Annotated[Path, typer.Option(help="Where the study of a protocol is kept.")] = Path("tuning"),
    write: Annotated[
        Path | None, typer.Option(help="A file for the snippet, beside the study's own.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search a model's settings on windows before the holdout, which is never read; it can go on later."""
    if (protocol is None) != (data is None):
        raise typer.BadParameter("--protocol and --data FOLDER belong together")
    with out.user_errors():
        from flows.output.progress import shown
        from tasks.tuning.search import Search

        wanted = Search(model, {}, trials, seed, minutes)
        if protocol is not None and data is not None:
            from tasks.tuning.protocol_window import validation_window
            from tasks.tuning.search import check_tunable

            check_tunable(model)
            place = study / f"{protocol}-{model}-{metric}-{k}-{seed}"
            with shown() as report:
                window = validation_window(protocol, data, metric, k)
                found = _searched_alone(wanted, [window], place, report)
        else:
            configuration, day = _configured(config, store, as_of)
            wanted = replace(wanted, configured=configuration.models.get(model, {}))
            choices = {"seed": seed, "windows": windows, "metric": metric, "k": k}
            with shown() as report:
                found, place = _searched(configuration, day, wanted, choices, report)
        _tell(found, place, wanted, f"{metric}@{k}", write=write, as_json=as_json)


def _configured(config: Path, store: Path | None, as_of: datetime | None) -> tuple[Configuration, date]:
    """Return the configuration, which measures whatever the file says, and the date."""
    configuration = configured(config, override_lines(["evaluation.enabled=true"], store=store))
    return configuration, date_of(as_of, configuration)


def _searched(
    configuration: Configuration, as_of: date, wanted: Search, choices: dict[str, Any], report: Report
) -> tuple[Found, Path]:
    """Build the study's windows where they are missing, and do the trials that are left."""
    from tasks.store.layout import Store
    from tasks.tuning import windows as own
    from tasks.tuning.search import check_tunable, search

    check_tunable(wanted.model)
    place = Store(configuration.store.path)
    study = own.study_of(configuration, place, as_of, wanted.model, **choices)
    with _alone(study):
        if not own.is_built(study):
            _build(configuration, as_of, study, int(choices["windows"]), report)
        windows = own.windows_of(configuration, study, str(choices["metric"]), int(choices["k"]))
        return search(wanted, windows, study, report), study


def _searched_alone(wanted: Search, windows: list[Any], study: Path, report: Report) -> Found:
    """Do the trials that are left of a study outside of a store."""
    from tasks.tuning.search import search

    with _alone(study):
        return search(wanted, windows, study, report)


def _build(configuration: Configuration, as_of: date, study: Path, count: int, report: Report) -> None:
    """Take in new logs and write the windows; the holdout is found as a night finds it."""
    from flows.night.night import Night
    from flows.night.run import dataset_only
    from tasks.configuration.engines import open_engine
    from tasks.tuning.windows import build_windows, drop_old

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
    drop_old(study.parent, configuration.store.keep_runs)


@contextmanager
def _alone(study: Path) -> Iterator[None]:
    """Hold a study; StoreLockedError at once if another process works on it."""
    from filelock import FileLock, Timeout

    from tasks.runtime.errors import StoreLockedError
    from tasks.store.files import writing
    from tasks.tuning.windows import lock_of

    with writing(study):
        study.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock_of(study), timeout=0):
            yield
    except Timeout:
        raise StoreLockedError(f"another process works on the study {study}") from None


def _tell(
    found: Found, study: Path, wanted: Search, metric: str, *, write: Path | None, as_json: bool
) -> None:
    """Print and write what was found."""
    from tasks.tuning.result import settings_table, snippet_of, verdict_of, write_snippet

    verdict = verdict_of(found)
    snippet = snippet_of(wanted.model, metric, found, verdict, " ".join(["nightshelf", *sys.argv[1:]]))
    for path in filter(None, (study / "tuned.toml", write)):
        write_snippet(path, snippet)
    if as_json:
        facts = {"best": found.best, "best_score": found.best_score, "configured": found.configured}
        facts |= {"configured_score": found.configured_score, "difference": verdict.difference}
        facts |= {"ci_low": verdict.low, "ci_high": verdict.high, "users": verdict.users}
        facts |= {"better": verdict.better, "trials": found.trials, "metric": metric, "study": str(study)}
        out.print_json({"model": wanted.model, **facts, "snippet": snippet})
        return
    rows: list[out.Row] = [(metric, f"{found.configured_score:.4f}", f"{found.best_score:.4f}")]
    rows += settings_table(wanted.model, found)
    out.print_table(
        ("", "as configured", "best"), rows, f"{wanted.model}: {sum(found.trials.values())} trials"
    )
    for line in snippet.splitlines():
        out.print_line(line)
    out.print_line(
        f"Written to {write or study / 'tuned.toml'}; the same command with more --trials goes on."
    )


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("tune")(tune)
