"""One date of a backfill in a process of its own, so that several can be at work and one can die alone.

`python -m flows.backfill.one_date` reads its order, a line of JSON, from standard input, and
ends when that closes.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import time
from datetime import date

from pydantic import BaseModel, ConfigDict

from flows.night.retries import directly
from flows.night.run import Step, run_night
from tasks.configuration.configuration import Configuration
from tasks.runtime.children import Child, Told, end_with_parent, listen, running, speaker
from tasks.runtime.errors import EXPECTED, StoreLockedError, UserError
from tasks.runtime.progress import Report, silent
from tasks.store.layout import Store
from tasks.store.run_folder import RunFolder
from tasks.store.runs import RunRecord, read_record
from tasks.training.train import Trainer

LOG = logging.getLogger("nightshelf")
COMMAND = (sys.executable, "-P", "-m", "flows.backfill.one_date")
LOCK_PAUSE = 1.0


class Order(BaseModel):
    """A date to run, by which configuration, and how long to wait while another process runs it (seconds)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    configuration: Configuration
    as_of: date
    lock_wait: float


def run_here(
    order: Order, step: Step = directly, report: Report = silent, trainer: Trainer | None = None
) -> RunRecord:
    """Run a date in this process, continuing what a failed run of it has done; return the record.

    Raises what `flows.night.run.run_night` raises; StoreLockedError if another process runs the date and
    still does after the wait.
    """
    until = time.monotonic() + order.lock_wait
    while True:
        try:
            return run_night(
                order.configuration,
                order.as_of,
                step=step,
                report=report,
                resume="where possible",
                trainer=trainer,
            )
        except StoreLockedError as error:
            if time.monotonic() >= until:
                raise
            report(f"waiting: {error}", 0, 0)
        time.sleep(LOCK_PAUSE)


def run_apart(order: Order, report: Report, children: set[Child]) -> RunRecord:
    """Run a date in a child process, which is one of `children` as long as it runs; return the record.

    Raises
    ------
    UserError
        If the run refused; the message is its own. Or if the child was killed: its run can be continued.
    RuntimeError
        If the child ended by a defect.
    """
    name = f"backfill of {order.as_of}"
    with tempfile.TemporaryFile() as stderr:
        with running(COMMAND, stderr) as child:
            children.add(child)
            assert child.stdin is not None  # noqa: S101 - it is a pipe
            child.stdin.write(order.model_dump_json() + "\n")
            child.stdin.flush()
            said = listen(child, report, name)
        children.discard(child)
        stderr.seek(0)
        printed = stderr.read().decode(errors="replace").strip()
    if "run_id" in said:
        store = Store(order.configuration.store.path)
        return read_record(RunFolder(store, order.as_of, said["run_id"]).record)
    if "refused" in said:
        raise UserError(said["refused"])
    LOG.error("%s ended with exit code %s\n%s", name, child.returncode, printed)
    if child.returncode < 0:
        raise UserError(f"its process was killed by signal {-child.returncode}")
    raise RuntimeError(printed.rpartition("\n")[2] or f"its process ended with exit code {child.returncode}")


def main() -> int:
    """Run the date that standard input names; return the exit code."""
    say = speaker()
    order = Order.model_validate_json(sys.stdin.readline())
    threading.Thread(target=end_with_parent, name="parent-watch", daemon=True).start()
    logging.getLogger().addHandler(Told(say))
    logging.getLogger().setLevel(logging.INFO)

    def report(doing: str, done: float, of: float) -> None:
        say({"progress": [doing, done, of]})

    try:
        record = run_here(order, report=report)
    except EXPECTED as error:
        say({"refused": str(error)})
        return 2
    say({"run_id": record.run_id})
    return 0


if __name__ == "__main__":
    sys.exit(main())
