"""The stations of a night in their order, free of Prefect: `flows/run_nightly.py` puts it around them."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Protocol, TypeVar

from flows.night.judge_stations import quality_station, served_model_station
from flows.night.lifecycle import started, writable
from flows.night.model_stations import measure_station, train_station
from flows.night.night import Night, Result
from flows.night.release_station import release_station
from flows.night.resume import Resume, begin_night
from flows.night.retries import directly, tried
from flows.night.stations import (
    dataset_station,
    holdout_station,
    interactions_station,
    popular_station,
    recommendations_station,
    similar_station,
    validation_station,
)
from tasks.configuration.configuration import Configuration
from tasks.configuration.engines import open_engine, sweep_scratch
from tasks.interactions.ingest import Ingest, ingest
from tasks.recommendations.serving import BEST
from tasks.runtime.errors import OF_ONE_MODEL, TrainingError
from tasks.runtime.logs import named
from tasks.runtime.progress import Report, silent
from tasks.runtime.redaction import clean_errors
from tasks.runtime.usage import measured
from tasks.store.files import writing
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord, Station, bury, new_run, station_name
from tasks.training.train import Trainer

T = TypeVar("T")
LOG = logging.getLogger("nightshelf")
# The machine's fault, not the program's:
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


class Step(Protocol):
    """Runs one station: directly, or as a Prefect task."""

    def __call__(self, name: str, station: Callable[[], T]) -> T:
        """Return what the station returns."""


def run_night(
    configuration: Configuration,
    as_of: date,
    *,
    step: Step = directly,
    report: Report = silent,
    replace_changed: bool = False,
    rebuild: bool = False,
    resume: Resume = "no",
    trainer: Trainer | None = None,
) -> RunRecord:
    """Run every station for one date and publish the release; return the record.

    `resume` continues the date's last run, which did not publish, from its last finished station. `trainer`
    trains the models: in a child process of this one, if not given.

    Raises
    ------
    ResumeError
        If `resume` is "yes" and there is no such run, or it cannot be continued. Nothing is changed then.
    UserError, EngineError, ModelError
        If a station refuses. Nothing is published then, and the record on disk says why.
    """
    again = {"replace_changed": replace_changed, "rebuild": rebuild}
    begin = partial(begin_night, configuration, as_of, resume, again)
    with started(configuration, as_of, report, begin, trainer) as night:
        _measured(night, step)
        if configuration.train.chooses:
            run_station(night, step, "served_model", partial(served_model_station, night))
        for name in _trained(night):
            _run_alone(night, step, "train", name, train_station)
        run_station(night, step, "recommendations", partial(recommendations_station, night))
        run_station(night, step, "similar_items", partial(similar_station, night))
        if configuration.quality.enabled:
            run_station(night, step, "quality", partial(quality_station, night))
        run_station(night, step, "release", partial(release_station, night))
        night.record.state = "published"
    return night.record


def evaluate_only(
    configuration: Configuration,
    as_of: date,
    *,
    report: Report = silent,
    trainer: Trainer | None = None,
    then: Callable[[Night], None] | None = None,
) -> RunRecord:
    """Take in new logs and measure the configured models on the last events, then do `then`; publish nothing.

    Raises what `run_night` raises.
    """

    def work(night: Night) -> RunRecord:
        _measured(night, directly)
        if then is not None:
            then(night)
        return night.record

    return dataset_only(configuration, as_of, work, "evaluation", report=report, trainer=trainer)


def dataset_only(
    configuration: Configuration,
    as_of: date,
    work: Callable[[Night], T],
    purpose: str,
    *,
    report: Report = silent,
    trainer: Trainer | None = None,
) -> T:
    """Take in new logs, build the dataset (and its past, where evaluation is on) and do `work` with it."""
    begin = partial(new_run, as_of=as_of, purpose=purpose)
    with started(configuration, as_of, report, begin, trainer) as night:
        _with_engine(night, directly, configuration.evaluation.enabled)
        done = work(night)
        night.record.state = "measured"
    return done


def ingest_only(
    configuration: Configuration,
    as_of: date,
    *,
    report: Report = silent,
    replace_changed: bool = False,
    rebuild: bool = False,
) -> Ingest:
    """Take in new logs up to a date; train and publish nothing. Raises what `run_night` raises."""
    store = writable(configuration)
    with store.lock(f"ingest up to {as_of}", LOCK_WAIT, report), configuration.resources.applied():
        sweep_scratch(store.runs)
        bury(store)
        take_in = partial(ingest, configuration, store, as_of=as_of, report=report)
        with open_engine(configuration, store.runs) as engine:
            return _guarded(
                store, partial(take_in, engine=engine, replace_changed=replace_changed, rebuild=rebuild)
            )


def run_station(
    night: Night, step: Step, kind: str, station: Callable[[], Result], model: str | None = None
) -> None:
    """Run one station and record what it gave and cost; not if it is finished, in a run that goes on."""
    if night.record.finished(kind, model):
        return
    name = station_name(kind, model)
    guarded = partial(_guarded, night.store, tried(name, station, night.record.warn))
    guarded.__doc__ = getattr(station, "func", station).__doc__  # Prefect shows it
    with named(station=name), measured() as cost:
        night.report(name, 0, 0)
        result = step(name, guarded)
    costs = {"seconds": cost.seconds, "peak_memory": cost.peak_memory}
    done = Station(kind=kind, model=model, rows=result.rows, facts=result.facts, **costs)
    night.record.stations.append(done)
    night.record.save(night.store)


def _guarded(store: Store, work: Callable[[], T]) -> T:
    """Do a piece of work; a disk that refuses is the user's to mend, and no library ends the program.

    Raises
    ------
    StoreError
        If the disk is full, read-only or broken.
    RuntimeError
        If a library called sys.exit, which would end the night silently and with success.
    """
    try:
        with clean_errors():
            return work()
    except SystemExit as end:
        raise RuntimeError(f"a library ended the program with exit code {end.code!r}") from end
    except OSError as error:
        if error.errno not in DISK:
            raise
        with writing(store.root):
            raise


def _run_alone(
    night: Night, step: Step, kind: str, model: str, station: Callable[[Night, str], Result]
) -> None:
    """Run a station of one model; where the configuration allows it, its failure is that model's alone.

    A model that could not be measured is not trained either. Without the served model there is no night.
    """
    if model in night.record.failed_models:
        return
    try:
        run_station(night, step, kind, partial(station, night, model), model)
    except OF_ONE_MODEL as error:
        if night.configuration.train.on_failure == "stop":
            raise
        if model in _indispensable(night):
            raise TrainingError(f"the served model {model} failed, nothing is published: {error}") from error
        failed = Station(kind=kind, model=model, seconds=0.0, peak_memory=0, facts={"failed": str(error)})
        night.record.warn(f"{failed.name} failed, the night went on without it: {error}")
        LOG.warning("%s", night.record.warnings[-1])
        night.record.stations.append(failed)
        night.record.save(night.store)


def _indispensable(night: Night) -> tuple[str, ...]:
    """Return the models without which there is no night; while `best` is not chosen, any may be left out."""
    train = night.configuration.train
    if train.chooses and not night.record.finished("served_model"):
        named = (train.serve, *train.serve_by_segment.models.values())
        return tuple(name for name in named if name != BEST)
    return night.serving.names


def _measured(night: Night, step: Step) -> None:
    """Run the stations up to the measuring of the models."""
    enabled = night.configuration.evaluation.enabled
    if not night.record.finished("holdout" if enabled else "popular_items"):
        _with_engine(night, step, enabled)
    for name in night.configuration.in_training_order if enabled else ():
        _run_alone(night, step, "measure", name, measure_station)


def _with_engine(night: Night, step: Step, enabled: bool) -> None:
    """Run the stations that need the SQL engine."""
    with open_engine(night.configuration, night.folder.root) as engine:
        run_station(night, step, "interactions", partial(interactions_station, night, engine))
        run_station(night, step, "validation_results", partial(validation_station, night, engine))
        run_station(night, step, "dataset", partial(dataset_station, night, engine))
        run_station(night, step, "popular_items", partial(popular_station, night, engine))
        if enabled:
            run_station(night, step, "holdout", partial(holdout_station, night, engine))


def _trained(night: Night) -> tuple[str, ...]:
    """Return the models that are trained on everything."""
    configuration = night.configuration
    if configuration.evaluation.enabled and configuration.train.refit == "served":
        return night.serving.names
    return configuration.in_training_order
