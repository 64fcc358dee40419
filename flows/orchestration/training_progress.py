"""Training progress as artifacts: a bar for each model, driven by the terminal's report."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext

from tasks.report.markdown import markdown
from tasks.runtime.logs import current_fields
from tasks.runtime.progress import Report
from tasks.store.runs import kind_and_model

SECONDS = 2.0  # between two updates of a bar
KINDS = ("train", "measure")  # stations that train
LOG = logging.getLogger("nightshelf")


@dataclass
class Bar:
    """The artifact of one station of one date."""

    station: str
    artifact: Any = None
    updated_at: float = 0.0


class TrainingProgress:
    """A report that forwards progress, and shows that of training stations as artifacts.

    One instance serves several dates, even in parallel: the log's context identifies the date.
    `key` is the prefix of the artifacts' keys; the station's name follows.
    """

    def __init__(self, report: Report, key: str) -> None:
        self.report, self.key = report, key
        self.bars: dict[str, Bar] = {}

    def __call__(self, doing: str, done: float, of: float) -> None:
        """Report progress."""
        self.report(doing, done, of)
        station, as_of = current_fields()["station"], current_fields()["as_of"]
        if station is None or as_of is None or not _in_prefect_run():
            return
        bar = self.bars.get(as_of)
        if bar is None or bar.station != station:
            self.fill(as_of)  # the next station starts only after a success
            bar = self.bars[as_of] = Bar(station)
        if not of or kind_and_model(station)[0] not in KINDS:
            return
        if bar.artifact is None or done >= of or time.monotonic() - bar.updated_at >= SECONDS:
            self._update(as_of, bar, 100.0 * min(done / of, 1.0), f"{doing} ({done:.0f} of {of:.0f})")

    def fill(self, as_of: str) -> None:
        """Fill the bar of a date's last station, which may have stopped early."""
        bar = self.bars.pop(as_of, None)
        if bar is not None and bar.artifact is not None and _in_prefect_run():
            self._update(as_of, bar, 100.0, "done")

    def _update(self, as_of: str, bar: Bar, share: float, text: str) -> None:
        """Create or update the bar; log it if the server is away, which must not end a training."""
        bar.updated_at = time.monotonic()
        about = markdown(f"{bar.station} for {as_of}: {text}")
        try:
            if bar.artifact is None:
                key = "-".join([self.key, *re.findall("[a-z0-9]+", bar.station.lower())])
                bar.artifact = create_progress_artifact(share, key=key, description=about)
            else:
                update_progress_artifact(bar.artifact, share, description=about)
        except Exception as error:  # any fault of the server or the connection
            LOG.warning("progress is not shown in Prefect: %s: %s", type(error).__name__, error)


def _in_prefect_run() -> bool:
    """Return whether this is a Prefect flow or task run; a library's thread is in none."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None
