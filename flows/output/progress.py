"""Progress for people: a bar in a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.runtime.logs import in_json
from tasks.runtime.progress import Report

LOG = logging.getLogger("nightshelf")
SECONDS = 5.0  # between two log lines about the same work


@contextmanager
def shown() -> Iterator[Report]:
    """Give a report that draws bars if stderr is a terminal, and logs lines if not."""
    if sys.stderr.isatty() and not in_json():
        with bars() as report:
            yield report
    else:
        yield logged(LOG)


@contextmanager
def bars() -> Iterator[Report]:
    """Give a report that draws one bar on stderr for what is being done now."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("starting", total=None)

        def report(doing: str, done: float, of: float) -> None:
            progress.update(bar, description=doing, completed=done, total=of or None)

        yield report


def logged(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Report:
    """Return a report that logs the start of each piece of work, its end, and now and then between."""
    doing_last, at = "", 0.0

    def report(doing: str, done: float, of: float) -> None:
        nonlocal doing_last, at
        moment, kind = time.monotonic(), doing.partition(":")[0]
        finished = of > 0 and done >= of
        if kind == doing_last and not finished and moment - at < SECONDS:
            return
        doing_last, at = kind, moment
        log.info("%s", f"{doing} ({done:.0f} of {of:.0f})" if of else doing)

    return report
