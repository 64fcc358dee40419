"""Beginning a night: its date's lock and its record, which says how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from flows.define_stations import Night
from flows.end_night import failed, let_go, report_night
from tasks.configuration.configuration import Configuration
from tasks.configuration.engines import sweep_scratch
from tasks.monitoring.metrics_file import write_metrics
from tasks.runtime.clock import now
from tasks.runtime.logs import named
from tasks.runtime.progress import Report
from tasks.runtime.redaction import clean
from tasks.store.layout import LOCK_WAIT, Store
from tasks.store.runs import RunRecord, bury
from tasks.training.train import Trainer, train_in_child

LOG = logging.getLogger("nightshelf")
FREE_BYTES = 512 * 2**20  # below this a run is not even started


def writable(configuration: Configuration) -> Store:
    """Return the store, there and writable; StoreError if it is not, or its disk is full."""
    store = Store(configuration.store.path).create()
    store.require_free(FREE_BYTES)
    return store


@contextmanager
def started(
    configuration: Configuration,
    as_of: date,
    report: Report,
    begin: Callable[[Store], RunRecord],
    trainer: Trainer | None = None,
) -> Iterator[Night]:
    """Give a night that holds its date's lock; its record says how it ended.

    Nights of other dates may be at work meanwhile: the store's own lock is held only to write what is shared.
    """
    if trainer is None and configuration.train.deployment:
        LOG.info("[train] deployment is for nights run by Prefect: this one trains in its own processes")
    store = writable(configuration)
    with store.date_lock(as_of, f"run for {as_of}"):
        with store.lock(f"run for {as_of}: beginning", LOCK_WAIT, report):
            sweep_scratch(store.runs)
            bury(store, as_of)
            night = Night(configuration, store, as_of, begin(store), report, trainer or train_in_child)
            sweep_scratch(night.folder)
        with named(run_id=night.record.run_id, as_of=str(as_of)):
            try:
                yield night
                night.record.finished_at = now().isoformat()
                night.record.save(store)
            except BaseException as error:
                clean(error)
                failed(night, error)
                raise
            else:
                report_night(night)
            finally:
                let_go(night)
                write_metrics(store)
