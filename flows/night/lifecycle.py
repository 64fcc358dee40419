"""How a night begins and ends: the date's lock, the record, the report, removal of old runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date

from flows.night.night import Night
from tasks.configuration.configuration import Configuration
from tasks.configuration.engines import sweep_scratch
from tasks.interactions.owners import discover_all
from tasks.monitoring.metrics_file import write_metrics
from tasks.runtime.clock import now
from tasks.runtime.errors import StoreError, StoreLockedError, UserError, is_transient
from tasks.runtime.interruption import interrupted
from tasks.runtime.logs import log_fields
from tasks.runtime.progress import Report
from tasks.runtime.redaction import clean
from tasks.sources.discovery import Search, files_under
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord, mark_interrupted, prune
from tasks.training.train import Trainer, one_child

LOG = logging.getLogger("nightshelf")
FREE_BYTES = 512 * 2**20  # with less free disk no run starts


def writable_store(configuration: Configuration) -> Store:
    """Create the store if needed and return it; StoreError if not writable or its disk is full."""
    store = Store(configuration.store.path).create()
    store.require_free(FREE_BYTES)
    return store


def require_startable(configuration: Configuration, as_of: date) -> Store:
    """Return the store if a run for a date could start now; nothing is changed.

    Raises
    ------
    StoreError
        If the store cannot be written, its disk is full, or another run for the date is active.
    """
    store = writable_store(configuration)
    with store.date_lock(as_of, f"run for {as_of}: checking"):
        return store


def input_problem(configuration: Configuration, as_of: date) -> str | None:
    """Return why the logs or a catalogue cannot be read; None if they are there, or may come back."""
    try:
        discover_all(configuration.sources, lambda _: as_of)
        for section, catalogue in (("items", configuration.items), ("users", configuration.users)):
            if catalogue.path is not None:
                files_under(catalogue.path, Search(section, catalogue.format))
    except UserError as error:
        return None if is_transient(error) else str(error)
    return None


@contextmanager
def own_trainer(configuration: Configuration) -> Iterator[Trainer]:
    """Yield the trainer of nights that this process runs one after another: all train in one child."""
    if configuration.train.deployment:
        LOG.info("[train] deployment is for nights run by Prefect; these models train in a child process")
    with one_child() as trainer:
        yield trainer


@contextmanager
def open_night(
    configuration: Configuration,
    as_of: date,
    report: Report,
    begin: Callable[[Store], RunRecord],
    trainer: Trainer | None = None,
) -> Iterator[Night]:
    """Yield a night that holds its date's lock and its resources; the record says how it ended.

    Nights of other dates may run meanwhile: the store's lock is held only for shared writes.
    """
    store = writable_store(configuration)
    own = own_trainer(configuration) if trainer is None else nullcontext(trainer)
    with store.date_lock(as_of, f"run for {as_of}"), configuration.resources.applied(), own as trains:
        with store.lock(f"run for {as_of}: beginning", LOCK_WAIT, report):
            sweep_scratch(store.runs)
            mark_interrupted(store, as_of)
            night = Night(configuration, store, as_of, begin(store), report, trains)
            sweep_scratch(night.folder.root)
        with log_fields(run_id=night.record.run_id, as_of=str(as_of)):
            try:
                yield night
                night.record.finished_at = now().isoformat()
                night.record.save(store)
            except BaseException as error:
                clean(error)
                record_failure(night, error)
                raise
            else:
                report_night(night)
            finally:
                remove_old_runs(night)
                write_metrics(store)
                list_releases(night)


LOG = logging.getLogger("nightshelf")


def report_night(night: Night) -> None:
    """Write the report of a run, unless the configuration disables it.

    Any exception is caught here: a broken page must neither undo a publication nor hide the
    failure being reported. The log says that the page is missing, and why.
    """
    if not night.configuration.report.enabled:
        return
    try:
        from tasks.report.page import write_report

        write_report(night.store, night.record, night.configuration)
    except Exception as error:
        LOG.warning("the report of the run is not written: %s: %s", type(error).__name__, error)


def list_releases(night: Night) -> None:
    """Write the page about all releases after a night, unless the configuration disables reports."""
    if night.configuration.report.enabled and night.record.purpose == "night":
        from tasks.report.releases_page import write_releases_page

        write_releases_page(night.store)


def record_failure(night: Night, error: BaseException) -> None:
    """Record and report a night's failure; if the record cannot be saved, log that and continue."""
    night.record.state, night.record.message = "failed", str(error) or type(error).__name__
    if interrupted() or not isinstance(error, Exception):  # a library may make an error of Ctrl-C
        night.record.state, night.record.message = "interrupted", "the run was asked to end"
    night.record.finished_at = now().isoformat()
    try:
        night.record.save(night.store)
    except StoreError as save_error:
        LOG.warning("the record of the run still says `running`: %s", save_error)
    if night.record.state == "failed":  # a user who interrupts does not wait for the report
        report_night(night)


def remove_old_runs(night: Night) -> None:
    """Remove old runs, unless another process is writing: then the next run removes them."""
    try:
        with night.store.lock(f"run for {night.as_of}: removing old runs"):
            prune(night.store, night.configuration.store.keep_runs, night.as_of)
    except StoreLockedError as busy:
        LOG.info("old runs stay until the next one: %s", busy)
