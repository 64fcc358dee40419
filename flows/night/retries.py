"""Second tries of a station: where the cause may pass, with a growing wait, and never unsaid."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from tasks.runtime.errors import TransientError, can_pass

T = TypeVar("T")
LOG = logging.getLogger("nightshelf")
ATTEMPTS: Final = 3
FIRST_WAIT: Final = 2.0  # seconds before the second try; each wait is four times the one before
GROWTH: Final = 4.0
JITTER: Final = 0.5  # share of a wait that chance adds, so that many workers do not come back at once
WAITS: Final = [FIRST_WAIT * GROWTH**number for number in range(ATTEMPTS - 1)]


def directly(name: str, station: Callable[[], T]) -> T:
    """Run a station in this process; again where a second try can help."""
    del name
    import random

    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    tries = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=lambda state: waited(state.attempt_number) * (1 + JITTER * random.random()),  # noqa: S311
        retry=retry_if_exception(can_pass),
        reraise=True,
    )
    try:
        return tries(station)
    except TransientError as error:
        error.spent = True
        raise


def waited(attempt: int) -> float:
    """Return the seconds to wait after an attempt, counted from 1; tenacity asks after the last one too."""
    return WAITS[min(attempt, len(WAITS)) - 1]


def tried(name: str, station: Callable[[], T], warn: Callable[[str], None]) -> Callable[[], T]:
    """Return a station that says, when it is tried again, why: in the log, and by `warn`."""
    failed: list[str] = []

    def attempt() -> T:
        if failed:
            warning = f"{name}: attempt {len(failed) + 1} of {ATTEMPTS}, after: {failed[-1]}"
            LOG.warning("%s", warning)
            warn(warning)
        try:
            return station()
        except TransientError as error:
            failed.append(str(error))
            raise

    return attempt
