"""A date as a Prefect task that runs nowhere else meanwhile, for flows that run several dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from flows.orchestration.artifacts import create_artifacts_after
from flows.orchestration.limits import hold_date_limit
from flows.orchestration.station_task import as_task
from tasks.configuration.configuration import Configuration
from tasks.store.layout import LOCK_WAIT

T = TypeVar("T")


def run_exclusively(configuration: Configuration, name: str, work: Callable[[], T]) -> T:
    """Run one date as a Prefect task, once it runs nowhere else; `name` ends with the date."""

    def run() -> T:
        as_of = date.fromisoformat(name[-10:])
        held = hold_date_limit(configuration.store.path, as_of, wait=LOCK_WAIT)
        with held, create_artifacts_after(configuration, as_of):
            return work()

    return as_task(name, run)
