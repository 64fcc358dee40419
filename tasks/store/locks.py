"""Operating system locks, dropped when their process ends, and files that name their holders."""

from __future__ import annotations

import datetime as dt
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.runtime.progress import Report, silent
from tasks.store.files import read_json, write_json_atomically, writing

if TYPE_CHECKING:
    from filelock import BaseFileLock

NAMING_SECONDS: Final = 2.0  # within it, a new holder has named itself, even on a slow disk
PROBE_SECONDS: Final = 0.2  # after it, a probed lock and a lock whose file was removed are free
CLOCK_SECONDS: Final = 1.0  # how far off the system may report the start of a process


@contextmanager
def hold_lock(
    path: Path,
    holder: Path | None,
    name: str,
    purpose: str,
    *,
    wait: float = 0.0,
    report: Report = silent,
    patience: float = PROBE_SECONDS,
) -> Iterator[None]:
    """Hold a lock and name this process in `holder`; StoreLockedError if it is taken."""
    from filelock import FileLock

    lock = FileLock(path, is_singleton=False)
    with writing(path):
        try:
            _acquire_free(lock, holder, name, patience)
        except StoreLockedError as error:
            if not wait:
                raise
            report(f"waiting: {error}", 0, 0)
            _acquire(lock, holder, name, wait)
    try:
        if holder is not None:
            since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            facts = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": purpose, "since": since}
            write_json_atomically(holder, facts)
        yield
    finally:
        if holder is not None:
            holder.unlink(missing_ok=True)
        lock.release()


@dataclass(frozen=True)
class Holder:
    """A process that claims to hold a lock, for what purpose, and since when."""

    pid: int
    host: str
    purpose: str
    since: dt.datetime

    def __str__(self) -> str:
        """Return the process and its purpose, for messages about a lock."""
        return f"pid {self.pid} on {self.host} ({self.purpose}) since {self.since.isoformat()}"

    @property
    def alive(self) -> bool:
        """Whether the process still runs, as opposed to a later process with its id.

        A process on another machine is assumed to run.
        """
        if self.host != socket.gethostname():
            return True
        import psutil

        try:
            os.kill(self.pid, 0)
        except PermissionError:  # it runs as another user
            pass
        except ProcessLookupError:
            return False
        try:
            return float(psutil.Process(self.pid).create_time()) <= self.since.timestamp() + CLOCK_SECONDS
        except psutil.Error:  # it runs, but its start time is hidden from this user
            return True


def holder_of(path: Path) -> Holder | None:
    """Return the holder that a file names.

    None if the file is missing or damaged, if its process is dead, or if the process that has the
    lock has not named itself yet.
    """
    try:
        facts = read_json(path)
        since = dt.datetime.fromisoformat(facts["since"])
        holder = Holder(int(facts["pid"]), str(facts["host"]), str(facts["purpose"]), since)
        return holder if holder.pid > 0 and holder.alive else None
    except (StoreError, KeyError, TypeError, ValueError, OverflowError):
        return None


def holder_text(path: Path) -> str:
    """Return the holder that a file names, as text for a message."""
    return str(holder_of(path) or "another process")


def _acquire_free(lock: BaseFileLock, holder: Path | None, name: str, patience: float) -> None:
    """Acquire a free lock; else raise StoreLockedError once the holder had time to name itself."""
    until = time.monotonic() + NAMING_SECONDS
    while True:
        try:
            _acquire(lock, holder, name, patience)
        except StoreLockedError:
            if holder is None or holder_of(holder) or time.monotonic() > until:
                raise
        else:
            return


def _acquire(lock: BaseFileLock, holder: Path | None, name: str, seconds: float) -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        who = "another process" if holder is None else holder_text(holder)
        raise StoreLockedError(f"{name} is locked by {who}") from None
