"""A backfill: which dates of a range are run again and why, then one after another; free of Prefect."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from flows.retry_station import directly
from flows.run_stations import Step, run_night
from tasks.configuration import Configuration, load
from tasks.errors import EXPECTED, StoreError, StoreLockedError, UserError
from tasks.progress import Report, silent
from tasks.published import releases
from tasks.run_record import RECORDS, RunRecord, today
from tasks.store import Store, read_json
from tasks.training import Trainer

LOG = logging.getLogger("nightshelf")
MODES = ("missing", "failed", "all")
RUN, SKIP = "run", "skip"
PUBLISHED, FAILED, SKIPPED, LEFT = "published", "failed", "skipped", "not run"
BROKEN = ("failed", "interrupted", "running")  # `running` without a release: its process died, or it goes on
MOST_DATES = 3660  # ten years: more is a mistyped year
LAST_RUNS = 5  # published runs that an estimate is made from
LOCK_WAIT = 3600.0  # seconds that a date waits for another writer of the store
LOCK_PAUSE = 1.0


class Planned(NamedTuple):
    """What a backfill would do with one date: `action` is `run` or `skip`."""

    as_of: date
    action: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What became of one date: `state` is `published`, `failed`, `skipped` or `not run`."""

    as_of: date
    action: str
    state: str
    seconds: float | None = None
    rows: int | None = None
    release_id: str | None = None
    message: str = ""

    @property
    def headline(self) -> str:
        """The first line of the message, for tables."""
        return self.message.partition("\n")[0]


def configured(config: Path, models: Sequence[str] | None = None) -> Configuration:
    """Return the configuration, with these models only if any are given.

    The first of them serves where the configured one is not among them. Raises ConfigurationError.
    """
    configuration = load(config)
    if not models:
        return configuration
    serve = configuration.train.serve if configuration.train.serve in models else models[0]
    return load(config, {"train.models": list(dict.fromkeys(models)), "train.serve": serve})


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
    records = _records(Store(configuration.store.path))
    took = [sum(one.seconds for one in run.stations) for run in records if run.state == PUBLISHED]
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
    if max_parallel > 1 and runs > 1:
        found.append(f"max_parallel is {max_parallel}, but a store has one writer: its dates run one by one")
    return tuple(found)


def run_backfill(
    configuration: Configuration,
    planned: Sequence[Planned],
    *,
    continue_on_error: bool = True,
    step: Step = directly,
    around: Step = directly,
    report: Report = silent,
    lock_wait: float = LOCK_WAIT,
    trainer: Trainer | None = None,
) -> list[Outcome]:
    """Run the planned dates one after another; return what became of each, in the order of the plan.

    `step` runs a station and `around` a whole date: directly, or as a Prefect task. A date that fails stops
    the others only if `continue_on_error` is False. While another process writes to the store, a date waits
    up to `lock_wait` seconds. No release is removed meanwhile, and readers are never led to an older date.
    """
    roomy, outcomes, done = _keeping_all(configuration, planned), list[Outcome](), 0
    for as_of, action, reason in planned:
        if action == SKIP:
            outcomes.append(Outcome(as_of, action, SKIPPED, message=reason))
        elif not continue_on_error and failures(outcomes):
            outcomes.append(Outcome(as_of, action, LEFT, message="stopped after a date that failed"))
        else:
            report(f"backfill {as_of}", done, len(to_run(planned)))
            night = partial(run_night, roomy, as_of, step=step, report=report, trainer=trainer)
            patient = partial(_when_free, night, lock_wait, report)
            outcomes.append(_attempted(as_of, partial(around, f"backfill {as_of}", patient)))
            done += 1
    return outcomes


def to_run(planned: Sequence[Planned]) -> list[date]:
    """Return the dates that a plan runs."""
    return [one.as_of for one in planned if one.action == RUN]


def failures(outcomes: Sequence[Outcome]) -> str:
    """Return one message about the dates that failed, empty if none did."""
    failed = [one for one in outcomes if one.state == FAILED]
    if not failed:
        return ""
    tried = sum(one.state in {FAILED, PUBLISHED} for one in outcomes)
    lines = (f"{one.as_of}: {one.message.removeprefix(f'{one.as_of}: ')}" for one in failed)
    return "\n".join([f"{len(failed)} of {tried} dates failed", *lines])


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


def _records(store: Store) -> list[RunRecord]:
    """Return the records of runs that can be read, the oldest first."""
    found = []
    for path in sorted(store.runs.glob(RECORDS), key=lambda path: path.parent.name):
        try:
            found.append(RunRecord.model_validate(read_json(path)))
        except (StoreError, ValueError):  # damaged: `status` says so; the date counts by its release
            continue
    return found


def _last_runs(store: Store) -> dict[date, RunRecord]:
    """Return the last run of each date that was meant to publish."""
    return {record.as_of: record for record in _records(store) if record.state in {*BROKEN, PUBLISHED}}


def _keeping_all(configuration: Configuration, planned: Sequence[Planned]) -> Configuration:
    """Return the configuration with room for every release there is and every one the plan makes."""
    needed = len(releases(Store(configuration.store.path))) + len(to_run(planned))
    keep = max(configuration.store.keep_releases, needed)
    store = configuration.store.model_copy(update={"keep_releases": keep})
    return configuration.model_copy(update={"store": store})


def _when_free(night: Callable[[], RunRecord], wait: float, report: Report) -> RunRecord:
    """Run a night once the store has no other writer; StoreLockedError when it still has after the wait."""
    until = time.monotonic() + wait
    while True:
        try:
            return night()
        except StoreLockedError as error:
            if time.monotonic() >= until:
                raise
            report(f"waiting: {error}", 0, 0)
        time.sleep(LOCK_PAUSE)


def _attempted(as_of: date, work: Callable[[], RunRecord]) -> Outcome:
    """Run one date; neither a mistake nor a defect there ends the other dates."""
    started = time.monotonic()
    try:
        record = work()
    except EXPECTED as error:
        return Outcome(as_of, RUN, FAILED, _since(started), message=str(error))
    except Exception as error:
        LOG.exception("backfill of %s: a defect", as_of)
        return Outcome(as_of, RUN, FAILED, _since(started), message=f"{type(error).__name__}: {error}")
    rows = record.station("recommendations").rows
    return Outcome(as_of, RUN, PUBLISHED, _since(started), rows, record.release_id)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
