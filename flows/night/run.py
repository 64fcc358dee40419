"""The stations of a night in their order, without Prefect; `flows/run_nightly.py` adds it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Protocol, TypeVar

from flows.night.contest_stations import eve_station, incumbents_station
from flows.night.judge_stations import quality_station, release_scores_station, served_model_station
from flows.night.lifecycle import open_night, writable_store
from flows.night.model_stations import measure_station, train_station
from flows.night.night import Night, Result
from flows.night.release_station import release_station
from flows.night.resume import Resume, begin_night
from flows.night.retries import log_retries, run_directly
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
from tasks.runtime.errors import MODEL_ERRORS, TrainingError
from tasks.runtime.logs import log_fields
from tasks.runtime.progress import Report, silent
from tasks.runtime.redaction import clean_errors
from tasks.runtime.usage import measured
from tasks.store.files import writing
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord, Station, mark_interrupted, new_run, station_name
from tasks.training.train import Trainer

T = TypeVar("T")
LOG = logging.getLogger("nightshelf")
# Errors of the machine, not of the program:
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


class Step(Protocol):
    """Runs one station: directly, or as a Prefect task."""

    def __call__(self, name: str, station: Callable[[], T]) -> T:
        """Return the station's result."""


def run_night(
    configuration: Configuration,
    as_of: date,
    *,
    step: Step = run_directly,
    report: Report = silent,
    replace_changed: bool = False,
    rebuild: bool = False,
    resume: Resume = "no",
    trainer: Trainer | None = None,
) -> RunRecord:
    """Run every station for one date and publish the release; return the record.

    `resume` continues the date's last unpublished run after its last finished station. `trainer`
    trains the models, by default in a child process.

    Raises
    ------
    ResumeError
        If `resume` is "yes" and no run can be resumed. Nothing is changed then.
    UserError, EngineError, ModelError
        If a station fails. Nothing is published then, and the record on disk says why.
    """
    reingest = {"replace_changed": replace_changed, "rebuild": rebuild}
    begin = partial(begin_night, configuration, as_of, resume, reingest)
    with open_night(configuration, as_of, report, begin, trainer) as night:
        _run_measurement(night, step)
        if configuration.train.chooses:
            run_station(night, step, "served_model", partial(served_model_station, night))
        for name in _models_to_train(night):
            _run_model_station(night, step, "train", name, train_station)
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
    """Ingest new logs, measure the configured models on the last events, call `then`; no release.

    Raises what `run_night` raises.
    """

    def work(night: Night) -> RunRecord:
        _run_measurement(night, run_directly)
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
    """Ingest new logs, build the dataset (and, for evaluation, its past) and run `work` on it."""
    begin = partial(new_run, as_of=as_of, purpose=purpose)
    with open_night(configuration, as_of, report, begin, trainer) as night:
        _run_engine_stations(night, run_directly, configuration.evaluation.enabled)
        result = work(night)
        night.record.state = "measured"
    return result


def ingest_only(
    configuration: Configuration,
    as_of: date,
    *,
    report: Report = silent,
    replace_changed: bool = False,
    rebuild: bool = False,
) -> Ingest:
    """Ingest new logs up to a date, without training or publishing; raises as `run_night` does."""
    store = writable_store(configuration)
    with store.lock(f"ingest up to {as_of}", LOCK_WAIT, report), configuration.resources.applied():
        sweep_scratch(store.runs)
        mark_interrupted(store)
        ingest_logs = partial(ingest, configuration, store, as_of=as_of, report=report)
        with open_engine(configuration, store.runs) as engine:
            return _run_guarded(
                store, partial(ingest_logs, engine=engine, replace_changed=replace_changed, rebuild=rebuild)
            )


def run_station(
    night: Night, step: Step, kind: str, station: Callable[[], Result], model: str | None = None
) -> None:
    """Run one station and record its result and cost; skip it if a resumed run has finished it."""
    if night.record.finished(kind, model):
        return
    name = station_name(kind, model)
    guarded = partial(_run_guarded, night.store, log_retries(name, station, night.record.warn))
    guarded.__doc__ = getattr(station, "func", station).__doc__  # Prefect shows the docstring
    with log_fields(station=name), measured() as cost:
        night.report(name, 0, 0)
        result = step(name, guarded)
    costs = {"seconds": cost.seconds, "peak_memory": cost.peak_memory}
    finished = Station(kind=kind, model=model, rows=result.rows, facts=result.facts, **costs)
    night.record.stations.append(finished)
    night.record.save(night.store)


def _run_guarded(store: Store, work: Callable[[], T]) -> T:
    """Run `work`; turn disk errors and a library's `sys.exit` into exceptions with a message.

    Raises
    ------
    StoreError
        If the disk is full, read-only or broken.
    RuntimeError
        If a library called sys.exit, which would end the night silently as a success.
    """
    try:
        with clean_errors():
            return work()
    except SystemExit as end:
        raise RuntimeError(f"a library ended the program with exit code {end.code!r}") from end
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        with writing(store.root):
            raise


def _run_model_station(
    night: Night, step: Step, kind: str, model: str, station: Callable[[Night, str], Result]
) -> None:
    """Run a station of one model; with `on_failure = "continue"` a failure drops only that model.

    A model that could not be measured is not trained either. A night needs its served model.
    """
    if model in night.record.failed_models:
        return
    reason = night.plan.left_out.get(model)
    if reason is not None:
        _go_on_without(night, kind, model, f"{model} is left out: {reason}", reason)
        return
    try:
        run_station(night, step, kind, partial(station, night, model), model)
    except MODEL_ERRORS as error:
        if night.configuration.train.on_failure == "stop":
            raise
        if model in _required_models(night):
            raise TrainingError(f"the served model {model} failed, nothing is published: {error}") from error
        name = station_name(kind, model)
        _go_on_without(
            night, kind, model, f"{name} failed, the night went on without it: {error}", str(error)
        )


def _run_contest(night: Night, step: Step) -> None:
    """Run the contest of incumbent and challengers; if it fails, the incumbents stay as they are."""
    try:
        run_station(night, step, "incumbents", partial(incumbents_station, night))
    except MODEL_ERRORS as error:
        if night.configuration.train.on_failure == "stop":
            raise
        warning = f"challengers were not judged, the night went on without them: {error}"
        _go_on_without(night, "incumbents", None, warning, str(error))


def _go_on_without(night: Night, kind: str, model: str | None, warning: str, reason: str) -> None:
    """Record that a model, or a contest, takes no part in the night, with a warning."""
    night.record.warn(warning)
    LOG.warning("%s", warning)
    failed = Station(kind=kind, model=model, seconds=0.0, peak_memory=0, facts={"failed": reason})
    night.record.stations.append(failed)
    night.record.save(night.store)


def _required_models(night: Night) -> tuple[str, ...]:
    """Return the models that a night needs; until `best` is chosen, any candidate may fail."""
    train = night.configuration.train
    if train.chooses and not night.record.finished("served_model"):
        names = (train.serve, *train.serve_by_segment.models.values())
        return tuple(name for name in names if name != BEST)
    return night.serving.names


def _run_measurement(night: Night, step: Step) -> None:
    """Run the stations up to the measurement of the models."""
    enabled = night.configuration.evaluation.enabled
    finished = night.record.finished("holdout" if enabled else "popular_items")
    publishing = ["release_scores"] * _publishes(night) + ["eve"] * night.learns
    if not finished or not all(map(night.record.finished, publishing)):
        _run_engine_stations(night, step, enabled)
    if night.learns and night.record.station("eve").facts["contest"]:
        _run_contest(night, step)
    for name in night.configuration.in_training_order if enabled else ():
        _run_model_station(night, step, "measure", name, measure_station)


def _run_engine_stations(night: Night, step: Step, enabled: bool) -> None:
    """Run the stations that need the SQL engine."""
    with open_engine(night.configuration, night.folder.root) as engine:
        run_station(night, step, "interactions", partial(interactions_station, night, engine))
        run_station(night, step, "validation_results", partial(validation_station, night, engine))
        run_station(night, step, "dataset", partial(dataset_station, night, engine))
        if _publishes(night):
            run_station(night, step, "release_scores", partial(release_scores_station, night, engine))
        run_station(night, step, "popular_items", partial(popular_station, night, engine))
        if enabled:
            run_station(night, step, "holdout", partial(holdout_station, night, engine))
        if night.learns:
            run_station(night, step, "eve", partial(eve_station, night, engine))


def _publishes(night: Night) -> bool:
    """Return whether the run is to make a release, and not only to measure."""
    return night.record.purpose == "night"


def _models_to_train(night: Night) -> tuple[str, ...]:
    """Return the models to train on all events."""
    configuration = night.configuration
    if configuration.evaluation.enabled and configuration.train.refit == "served":
        return tuple(dict.fromkeys((*night.serving.names, night.similar_model)))
    return configuration.in_training_order
