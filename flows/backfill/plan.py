"""The plan of a backfill: which dates of a range are run again, why, how long it takes, with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, get_args

from tasks.configuration.configuration import Configuration, load, only_models
from tasks.configuration.engines import threads_of
from tasks.configuration.sections import bytes_of
from tasks.release.releases import releases
from tasks.runtime.clock import today
from tasks.runtime.errors import UserError
from tasks.store.layout import Store
from tasks.store.runs import RunRecord, read_records

Mode = Literal["missing", "failed", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
RUN, SKIP = "run", "skip"
BROKEN = ("failed", "interrupted", "running")  # `running` without a release: its process died, or it goes on
MOST_DATES = 3660  # ten years: more is a mistyped year
LAST_RUNS = 5  # published runs that an estimate is made from


class Planned(NamedTuple):
    """What a backfill would do with one date: `action` is `run` or `skip`."""

    as_of: date
    action: str
    reason: str


def configured(
    config: Path, models: Sequence[str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Configuration:
    """Return the configuration with keys overridden, and with these models only if any are given.

    The first of them serves where the configured one is not among them. Raises ConfigurationError.
    """
    configuration = load(config, overrides)
    if not models:
        return configuration
    return load(config, {**(overrides or {}), **only_models(models, configuration.train.serve)})


def plan(
    configuration: Configuration, start: date, end: date, mode: str = "missing", newest_first: bool = False
) -> list[Planned]:
    """Return each date from start to end with what would be done and why; changes nothing.

    `missing` runs dates without a release, `failed` those of them whose last run on disk did not get to its
    end (the last [store] keep_runs are on disk), `all` every date.

    Raises
    ------
    UserError
        If end is before start or in the future, the range is longer than ten years, or the mode is unknown.
    """
    _checked(start, end, mode, today(configuration.source.time_zone))
    store = Store(configuration.store.path)
    released = {release.as_of: release.release_id for release in releases(store) if not release.problem}
    last = _last_runs(store)
    dates = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    if newest_first:
        dates.reverse()
    return [_judged(as_of, mode, released.get(as_of), last.get(as_of)) for as_of in dates]


def estimate(configuration: Configuration, planned: Sequence[Planned]) -> float | None:
    """Return the seconds that the plan will take, by the median of the last published runs; None: unknown."""
    records = read_records(Store(configuration.store.path))
    took = [sum(one.seconds for one in run.stations) for run in records if run.state == "published"]
    return median(took[-LAST_RUNS:]) * len(to_run(planned)) if took else None


def warnings(
    configuration: Configuration, planned: Sequence[Planned], max_parallel: int = 1
) -> tuple[str, ...]:
    """Return what a person should know before the plan is run."""
    found, runs, keep = [], len(to_run(planned)), configuration.store.keep_releases
    if runs > keep:
        found.append(
            f"{runs} dates to run, but [store] keep_releases is {keep}: the backfill removes no release, the "
            f"next night keeps only the {keep} last published, the current one and the one before it"
        )
    at_once = min(max_parallel, runs)
    if at_once > 1:
        each = shared(configuration, at_once).engine
        found.append(
            f"{at_once} dates at once share the budget: {each.memory} and {each.threads} threads each"
        )
    return tuple(found)


def to_run(planned: Sequence[Planned]) -> list[date]:
    """Return the dates that a plan runs."""
    return [one.as_of for one in planned if one.action == RUN]


def shared(configuration: Configuration, at_once: int) -> Configuration:
    """Return the configuration with each of several dates' share of memory and threads."""
    if at_once == 1:
        return configuration
    engine, top_n = configuration.engine, configuration.top_n
    share = {
        "memory": _share(engine.memory, at_once),
        "threads": max(1, threads_of(configuration) // at_once),
    }
    lists = {"memory": _share(top_n.memory, at_once)}
    return configuration.model_copy(
        update={"engine": engine.model_copy(update=share), "top_n": top_n.model_copy(update=lists)}
    )


def _share(size: str, at_once: int) -> str:
    return f"{max(1, bytes_of(size) // at_once // 2**20)}MiB"


def _checked(start: date, end: date, mode: str, now: date) -> None:
    if mode not in MODES:
        raise UserError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    if end < start:
        raise UserError(f"expected an end on or after the start {start}, got {end}")
    if end > now:
        raise UserError(f"expected an end that is not in the future, got {end}; today is {now}")
    if (end - start).days >= MOST_DATES:
        raise UserError(f"expected at most {MOST_DATES} dates, got {start} to {end}")


def _judged(as_of: date, mode: str, release_id: str | None, last: RunRecord | None) -> Planned:
    """Return what a mode does with a date, by its release and its last run."""
    if mode == "all" and release_id:
        return Planned(as_of, RUN, f"again, though released as {release_id}")
    if release_id:
        return Planned(as_of, SKIP, f"released as {release_id}")
    if last is not None and last.state in BROKEN:
        message = last.message.partition("\n")[0]
        return Planned(as_of, RUN, f"run {last.run_id} {last.state}" + (f": {message}" if message else ""))
    if mode == "failed":
        return Planned(as_of, SKIP, "no release, and no failed run on disk")
    return Planned(as_of, RUN, "no release")


def _last_runs(store: Store) -> dict[date, RunRecord]:
    """Return the last run of each date that was meant to publish."""
    return {record.as_of: record for record in read_records(store) if record.state in {*BROKEN, "published"}}
