"""Progress of training as artifacts: a bar for each model, moved by the same report as bars and log lines."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext

from tasks.report.markdown import markdown
from tasks.runtime.logs import where
from tasks.runtime.progress import Report
from tasks.store.runs import kind_and_model

SECONDS = 2.0  # between two movements of a bar
KINDS = ("train", "measure")  # stations that train
LOG = logging.getLogger("nightshelf")


@dataclass
class Bar:
    """The artifact of one station of one date."""

    station: str
    artifact: Any = None
    moved_at: float = 0.0


class Training:
    """A report that passes everything on, and shows what stations that train say as progress artifacts.

    One serves several dates, side by side too: whose progress it is told, the log's context says. `key` is
    that of the artifacts; the station follows.
    """

    def __init__(self, report: Report, key: str) -> None:
        self.report, self.key = report, key
        self.bars: dict[str, Bar] = {}

    def __call__(self, doing: str, done: float, of: float) -> None:
        """Tell the progress."""
        self.report(doing, done, of)
        station, as_of = where()["station"], where()["as_of"]
        if station is None or as_of is None or not _in_a_run():
            return
        bar = self.bars.get(as_of)
        if bar is None or bar.station != station:
            self.fill(as_of)  # a station follows on one that succeeded
            bar = self.bars[as_of] = Bar(station)
        if not of or kind_and_model(station)[0] not in KINDS:
            return
        if bar.artifact is None or done >= of or time.monotonic() - bar.moved_at >= SECONDS:
            self._move(as_of, bar, 100.0 * min(done / of, 1.0), f"{doing} ({done:.0f} of {of:.0f})")

    def fill(self, as_of: str) -> None:
        """Fill the bar of a date's last station, which may have stopped early."""
        bar = self.bars.pop(as_of, None)
        if bar is not None and bar.artifact is not None and _in_a_run():
            self._move(as_of, bar, 100.0, "done")

    def _move(self, as_of: str, bar: Bar, share: float, text: str) -> None:
        """Make the bar, or move it. A server that is away is no reason to end a training: the log says so."""
        bar.moved_at = time.monotonic()
        about = markdown(f"{bar.station} for {as_of}: {text}")
        try:
            if bar.artifact is None:
                key = "-".join([self.key, *re.findall("[a-z0-9]+", bar.station.lower())])
                bar.artifact = create_progress_artifact(share, key=key, description=about)
            else:
                update_progress_artifact(bar.artifact, share, description=about)
        except Exception as error:  # whatever the server, or the way to it, has
            LOG.warning("progress is not shown in Prefect: %s: %s", type(error).__name__, error)


def _in_a_run() -> bool:
    """Tell whether this is a flow or task run of Prefect; a thread of a library is in none."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None
