"""Progress on stderr: a bar in a terminal, otherwise a log line every few seconds."""

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
def show_progress() -> Iterator[Report]:
    """Yield a report that draws bars if stderr is a terminal, and logs lines otherwise."""
    if sys.stderr.isatty() and not in_json():
        with draw_bar() as report:
            yield report
    else:
        yield log_progress(LOG)


@contextmanager
def draw_bar() -> Iterator[Report]:
    """Yield a report that draws one bar on stderr for the current work."""
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


def log_progress(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Report:
    """Return a report that logs the start and end of each piece of work, and progress between."""
    last_kind, last_at = "", 0.0

    def report(doing: str, done: float, of: float) -> None:
        nonlocal last_kind, last_at
        now, kind = time.monotonic(), doing.partition(":")[0]
        finished = of > 0 and done >= of
        if kind == last_kind and not finished and now - last_at < SECONDS:
            return
        last_kind, last_at = kind, now
        log.info("%s", f"{doing} ({done:.0f} of {of:.0f})" if of else doing)

    return report
