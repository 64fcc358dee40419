"""The command `backfill`: plan a range of dates, and run the plan on request."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import (
    DAY_FORMATS,
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    PrefectOption,
    SetOption,
)
from flows.commands.run import prepare_prefect
from flows.output import terminal as out
from tasks.runtime.interruption import interruptible

if TYPE_CHECKING:
    from flows.backfill.dates import Outcome
    from flows.backfill.plan import Planned

INTERRUPTED = (
    "interrupted: dates that were published stay; the same command continues with the others, each after its "
    "last finished station"
)
COLUMNS = ("date", "action", "state", "seconds", "rows", "release", "message")


def backfill(
    *,
    start: Annotated[datetime, typer.Option(formats=DAY_FORMATS, help="The first date.")],
    end: Annotated[datetime, typer.Option(formats=DAY_FORMATS, help="The last date; not in the future.")],
    mode: Annotated[str, typer.Option(help="missing, failed (among the missing) or all.")] = "missing",
    run: Annotated[
        bool, typer.Option("--run/--dry-run", help="Run the dates, or only show the plan and the estimate.")
    ] = False,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Start with the last date.")] = False,
    continue_on_error: Annotated[
        bool,
        typer.Option("--continue-on-error/--stop-on-error", help="Continue after a date fails, or stop."),
    ] = True,
    max_parallel: Annotated[
        int,
        typer.Option(min=1, max=8, help="Dates to run in parallel at most; they share memory and threads."),
    ] = 1,
    model: Annotated[
        list[str] | None, typer.Option(help="A model to train; default: the configured models. Repeatable.")
    ] = None,
    overrides: SetOption = None,
    reason: Annotated[str, typer.Option(help="The reason, kept with the Prefect run.")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    prefect: PrefectOption = True,
) -> None:
    """Publish releases of past dates; without --run, show the dates, reasons and estimated time."""
    with out.user_errors():
        from flows.backfill.plan import backfill_configuration, estimate, plan, warnings
        from tasks.configuration.overrides import overrides_of

        first, last = start.date(), end.date()
        configuration = backfill_configuration(config, model, overrides_of(overrides or ()))
        planned = plan(configuration, first, last, mode, newest_first)
        seconds, messages = estimate(configuration, planned), warnings(configuration, planned, max_parallel)
        for warning in messages:
            out.note(f"warning: {warning}")
        if not run:
            _print_plan(planned, seconds, messages, as_json)
            return
        choice = {"mode": mode, "continue_on_error": continue_on_error, "max_parallel": max_parallel}
        if prefect:
            options = choice | {"newest_first": newest_first, "models": model or (), "reason": reason}
            options["overrides"] = tuple(overrides or ())
            outcomes, failed = _run_with_prefect(configuration, config, first, last, options)
        else:
            outcomes, failed = _run_without_prefect(configuration, planned, choice)
        _print_outcomes(outcomes, as_json)
        if failed:
            out.fail(failed)


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("backfill")(backfill)


@interruptible(partial(out.note, INTERRUPTED))
def _run_without_prefect(
    configuration: Any, planned: Sequence[Planned], options: dict[str, Any]
) -> tuple[list[Outcome], str]:
    from flows.backfill.dates import failures, run_backfill
    from flows.output.progress import show_progress

    with show_progress() as report:
        outcomes = run_backfill(
            configuration,
            planned,
            report=report,
            **options,
        )
    return outcomes, failures(outcomes)


@interruptible(partial(out.note, INTERRUPTED))
def _run_with_prefect(
    configuration: Any, config: Any, first: Any, last: Any, options: dict[str, Any]
) -> tuple[list[Outcome], str]:
    from flows.output.progress import show_progress

    prepare_prefect(configuration)
    with show_progress() as report:
        report("starting Prefect (the first temporary server takes up to a minute)", 0, 0)
        from flows.run_backfill import backfill_with_prefect

        return backfill_with_prefect(config, first, last, report, **options)


def _print_plan(
    planned: Sequence[Planned], seconds: float | None, messages: Sequence[str], as_json: bool
) -> None:
    from flows.backfill.plan import to_run

    runs = len(to_run(planned))
    if as_json:
        dates = [date_planned._asdict() for date_planned in planned]
        facts = {"dry_run": True, "dates": dates, "runs": runs, "estimated_seconds": seconds}
        out.print_json(facts | {"warnings": messages})
        return
    out.print_table(("date", "action", "reason"), planned)
    took = "estimate unknown: no published run on disk" if seconds is None else f"about {seconds:.0f} s"
    out.print_line(
        f"{runs} of {len(planned)} dates to run; {took}. Nothing was changed; add --run to run them."
    )


def _print_outcomes(outcomes: Sequence[Outcome], as_json: bool) -> None:
    if as_json:
        out.print_json({"dry_run": False, "dates": [dataclasses.asdict(outcome) for outcome in outcomes]})
    elif outcomes:
        rows = [(*dataclasses.astuple(outcome)[:-1], outcome.headline) for outcome in outcomes]
        out.print_table(COLUMNS, rows)
