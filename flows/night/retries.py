"""Retry temporary failures of a station with exponential backoff, and log each retry."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from tasks.runtime.errors import TransientError, is_transient

T = TypeVar("T")
LOG = logging.getLogger("nightshelf")
ATTEMPTS: Final = 3
FIRST_WAIT: Final = 2.0  # seconds before the second attempt; each wait is four times the one before
GROWTH: Final = 4.0
JITTER: Final = 0.5  # random share added to a wait, so that many workers do not retry at once
WAITS: Final = [FIRST_WAIT * GROWTH**number for number in range(ATTEMPTS - 1)]


def run_directly(name: str, station: Callable[[], T]) -> T:
    """Run a station in this process; retry it after a temporary failure."""
    del name
    import random

    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=lambda state: wait_after(state.attempt_number) * (1 + JITTER * random.random()),  # noqa: S311
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
    try:
        return retrying(station)
    except TransientError as error:
        error.exhausted = True
        raise


def wait_after(attempt: int) -> float:
    """Return the seconds to wait after an attempt (from 1); tenacity also asks after the last."""
    return WAITS[min(attempt, len(WAITS)) - 1]


def log_retries(name: str, station: Callable[[], T], warn: Callable[[str], None]) -> Callable[[], T]:
    """Return the station with each retry and its cause logged and passed to `warn`."""
    errors: list[str] = []

    def attempt() -> T:
        if errors:
            warning = f"{name}: attempt {len(errors) + 1} of {ATTEMPTS}, after: {errors[-1]}"
            LOG.warning("%s", warning)
            warn(warning)
        try:
            return station()
        except TransientError as error:
            errors.append(str(error))
            raise

    return attempt
