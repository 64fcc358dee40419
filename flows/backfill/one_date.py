"""Run one date of a backfill in its own process: dates run in parallel, and one may die alone.

`python -m flows.backfill.one_date` reads its order, one line of JSON, from standard input. It ends
when standard input closes.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import date

from pydantic import BaseModel, ConfigDict

from flows.night.resume import AlreadyReleasedError
from flows.night.retries import run_directly
from flows.night.run import Step, run_night
from tasks.configuration.configuration import Configuration
from tasks.runtime.children import Child, LogForwarder, end, end_with_parent, listen, open_channel, running
from tasks.runtime.errors import EXPECTED_ERRORS, DateCancelledError, StoreLockedError, UserError
from tasks.runtime.garbage import collect_rarely
from tasks.runtime.interruption import EXIT_CODE, interrupted, interruptible
from tasks.runtime.progress import Report, silent
from tasks.store.runs import RunRecord
from tasks.training.train import Trainer

LOG = logging.getLogger("nightshelf")
COMMAND = (sys.executable, "-P", "-m", "flows.backfill.one_date")
LOCK_PAUSE = 1.0


class Order(BaseModel):
    """A date, its configuration, and the seconds to wait while another process runs the date.

    With `only_missing` the date is not run if it has a whole release once the waiting is over.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    configuration: Configuration
    as_of: date
    lock_wait: float
    only_missing: bool = True


@dataclass
class Children:
    """The processes of the dates that are running, of which each can be cancelled alone."""

    running: dict[date, Child] = field(default_factory=dict)
    cancelled: set[date] = field(default_factory=set)

    def cancel(self, *dates: date) -> None:
        """End the processes of these dates, and the processes that they started."""
        self.cancelled.update(dates)
        for as_of in dates:
            if child := self.running.get(as_of):
                end(child)


@dataclass(frozen=True)
class Released:
    """The release that a date has already, so that it was not run."""

    release_id: str


def run_here(
    order: Order, step: Step = run_directly, report: Report = silent, trainer: Trainer | None = None
) -> RunRecord | Released:
    """Run a date in this process, resuming its failed run if possible; return the record.

    If another process has published it meanwhile, and only missing dates are to run, return that.

    Raises what `flows.night.run.run_night` raises, and StoreLockedError if another process is
    still running the date after the wait.
    """
    until = time.monotonic() + order.lock_wait
    while True:
        try:
            return run_night(
                order.configuration,
                order.as_of,
                step=step,
                report=report,
                resume="where missing" if order.only_missing else "where possible",
                trainer=trainer,
            )
        except AlreadyReleasedError as released:
            return Released(released.release_id)
        except StoreLockedError as error:
            if time.monotonic() >= until:
                raise
            report(f"waiting: {error}", 0, 0)
        time.sleep(LOCK_PAUSE)


def run_apart(order: Order, report: Report, children: Children) -> RunRecord | Released:
    """Run a date in a child process; return what `run_here` does. `children` holds the child while it runs.

    Raises
    ------
    DateCancelledError
        If the date was cancelled; its run can be resumed.
    UserError
        If the run was refused, with its message, or if the child was killed: its run can be resumed.
    RuntimeError
        If the child ended because of a defect.
    """
    name = f"backfill of {order.as_of}"
    if order.as_of in children.cancelled:
        raise DateCancelledError
    with tempfile.TemporaryFile() as stderr:
        with running(COMMAND, stderr) as child:
            children.running[order.as_of] = child
            assert child.stdin is not None  # noqa: S101 - it is a pipe
            child.stdin.write(order.model_dump_json() + "\n")
            child.stdin.flush()
            reply = listen(child, report, name)
        children.running.pop(order.as_of, None)
        stderr.seek(0)
        printed = stderr.read().decode(errors="replace").strip()
    if "record" in reply:  # not read from the run's folder, which a run of another date may have removed
        return RunRecord.model_validate(reply["record"])
    if "released" in reply:
        return Released(reply["released"])
    if "refused" in reply:
        raise UserError(reply["refused"])
    if order.as_of in children.cancelled:
        raise DateCancelledError
    if not interrupted():
        LOG.error("%s ended with exit code %s\n%s", name, child.returncode, printed)
    if child.returncode == EXIT_CODE:
        raise UserError("its process was asked to end")
    if child.returncode < 0:
        raise UserError(f"its process was killed by signal {-child.returncode}")
    raise RuntimeError(printed.rpartition("\n")[2] or f"its process ended with exit code {child.returncode}")


def main() -> int:
    """Run the date that standard input names; return the exit code."""
    collect_rarely()
    send = open_channel()
    order = Order.model_validate_json(sys.stdin.readline())
    threading.Thread(target=end_with_parent, name="parent-watch", daemon=True).start()
    forwarder = LogForwarder(send)
    forwarder.addFilter(lambda record: record.name == LOG.name or record.levelno >= logging.WARNING)
    logging.getLogger().addHandler(forwarder)
    logging.getLogger().setLevel(logging.INFO)

    def report(doing: str, done: float, of: float) -> None:
        send({"progress": [doing, done, of]})

    try:
        with interruptible(lambda: None):
            result = run_here(order, report=report)
    except EXPECTED_ERRORS as error:
        send({"refused": str(error)})
        return 2
    send({"released": result.release_id} if isinstance(result, Released) else {"record": result.document()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
