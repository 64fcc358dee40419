"""The plan of a backfill: which dates to run, why, for how long, and with what resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, get_args

from tasks.configuration.configuration import Configuration, load, only_models
from tasks.configuration.sections import LEAST_MEMORY, bytes_of
from tasks.release.releases import releases
from tasks.runtime.clock import today
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, read_records

Mode = Literal["missing", "failed", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
RUN, SKIP = "run", "skip"
BROKEN = ("failed", "interrupted", "running")  # `running`: still running, or its process died
MOST_DATES = 3660  # ten years: more is a mistyped year
LAST_RUNS = 5  # the estimate is the median of the last five published runs


class Planned(NamedTuple):
    """What a backfill does with one date: `action` is `run` or `skip`."""

    as_of: date
    action: str
    reason: str


def backfill_configuration(
    config: Path, models: Sequence[str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Configuration:
    """Return the configuration with keys overridden and, if `models` is given, only these models.

    If the configured serving model is not among them, the first one serves. Raises
    ConfigurationError.
    """
    configuration = load(config, overrides)
    if not models:
        return configuration
    return load(config, {**(overrides or {}), **only_models(models, configuration.train.serve)})


def plan(
    configuration: Configuration, start: date, end: date, mode: str = "missing", newest_first: bool = False
) -> list[Planned]:
    """Return each date from start to end with its action and the reason; changes nothing.

    The mode `missing` runs the dates without a release. `failed` runs those of them whose last run
    on disk did not finish; the last [store] keep_runs are on disk. `all` runs every date.

    Raises
    ------
    UserError
        If end is before start or in the future, the range exceeds ten years, or the mode is unknown.
    """
    _check_range(start, end, mode, today(configuration.time_zone))
    store = Store(configuration.store.path)
    released = {release.as_of: release.release_id for release in releases(store) if not release.problem}
    last = _last_runs(store)
    dates = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    if newest_first:
        dates.reverse()
    return [_plan_date(as_of, mode, released.get(as_of), last.get(as_of)) for as_of in dates]


def estimate(configuration: Configuration, planned: Sequence[Planned]) -> float | None:
    """Return the plan's estimated seconds from the last published runs; None if there are none."""
    records = read_records(Store(configuration.store.path))
    took = [sum(station.seconds for station in run.stations) for run in records if run.state == "published"]
    return median(took[-LAST_RUNS:]) * len(to_run(planned)) if took else None


def warnings(
    configuration: Configuration, planned: Sequence[Planned], max_parallel: int = 1
) -> tuple[str, ...]:
    """Return what the user should know before running the plan."""
    messages, runs, keep = [], len(to_run(planned)), configuration.store.keep_releases
    if runs > keep:
        messages.append(
            f"{runs} dates to run, but [store] keep_releases is {keep}: the backfill removes no release; the "
            f"next night keeps only the {keep} last published, the current one and the one before it"
        )
    at_once = min(max_parallel, runs)
    if at_once > 1:
        each = divide_resources(configuration, at_once).engine
        messages.append(
            f"{at_once} dates at once share the resources: {each.memory} and {each.threads} threads each"
        )
    return tuple(messages)


def to_run(planned: Sequence[Planned]) -> list[date]:
    """Return the dates that a plan runs."""
    return [date_planned.as_of for date_planned in planned if date_planned.action == RUN]


def divide_resources(configuration: Configuration, at_once: int) -> Configuration:
    """Return the configuration with the memory and threads divided among `at_once` dates.

    Raises UserError if the share of memory is too small to run a date.
    """
    if at_once == 1:
        return configuration
    engine, top_n = configuration.engine, configuration.top_n
    least = LEAST_MEMORY[engine.name]
    if bytes_of(engine.memory) < at_once * bytes_of(least):
        raise UserError(
            f"{at_once} dates at once share [engine] memory = {engine.memory}: expected at least {at_once} "
            f"times {least} for {engine.name}"
        )
    share = {
        "memory": _share(engine.memory, at_once),
        "threads": max(1, configuration.resources.threads // at_once),
    }
    lists = {"memory": _share(top_n.memory, at_once)}
    return configuration.model_copy(
        update={"engine": engine.model_copy(update=share), "top_n": top_n.model_copy(update=lists)}
    )


def _share(size: str, at_once: int) -> str:
    return f"{max(1, bytes_of(size) // at_once // 2**20)}MiB"


def _check_range(start: date, end: date, mode: str, now: date) -> None:
    if mode not in MODES:
        raise UserError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    if end < start:
        raise UserError(f"expected an end on or after the start {start}, got {end}")
    if end > now:
        raise UserError(f"expected an end that is not in the future, got {end}; today is {now}")
    if (end - start).days >= MOST_DATES:
        raise UserError(f"expected at most {MOST_DATES} dates, got {start} to {end}")


def _plan_date(as_of: date, mode: str, release_id: str | None, last: RunRecord | None) -> Planned:
    """Return what the mode does with a date, given its release and its last run."""
    if mode == "all" and release_id:
        return Planned(as_of, RUN, f"to run again; already released as {release_id}")
    if release_id:
        return Planned(as_of, SKIP, f"released as {release_id}")
    if last is not None and last.state in BROKEN:
        message = last.message.partition("\n")[0]
        return Planned(as_of, RUN, f"run {last.run_id} {last.state}" + (f": {message}" if message else ""))
    if mode == "failed":
        return Planned(as_of, SKIP, "no release, and no failed run on disk")
    return Planned(as_of, RUN, "no release")


def _last_runs(store: Store) -> dict[date, RunRecord]:
    """Return the last run of each date, leaving out runs that were not meant to publish."""
    return {record.as_of: record for record in read_records(store) if record.state in {*BROKEN, "published"}}
