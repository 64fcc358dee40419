"""Locks of the operating system, which go with their process, and files that say who holds them."""

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

NAMING: Final = 2.0  # seconds in which who takes a lock has named itself, even on a slow disk
AT_ONCE: Final = 0.2  # seconds; a lock only looked at, or whose file was just removed, is free by then
CLOCK: Final = 1.0  # seconds that the system may be off in saying when a process began


@contextmanager
def held(
    path: Path,
    holder: Path | None,
    name: str,
    purpose: str,
    *,
    wait: float = 0.0,
    report: Report = silent,
    patience: float = AT_ONCE,
) -> Iterator[None]:
    """Hold an operating system's lock and say so in `holder`; StoreLockedError when another holds it."""
    from filelock import FileLock

    lock = FileLock(path, is_singleton=False)
    with writing(path):
        try:
            _take_at_once(lock, holder, name, patience)
        except StoreLockedError as taken:
            if not wait:
                raise
            report(f"waiting: {taken}", 0, 0)
            _take(lock, holder, name, wait)
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
    """A process that says to hold a lock, what for, and since when."""

    pid: int
    host: str
    purpose: str
    since: dt.datetime

    def __str__(self) -> str:
        """Return who it is, as the message about a lock has it."""
        return f"pid {self.pid} on {self.host} ({self.purpose}) since {self.since.isoformat()}"

    @property
    def alive(self) -> bool:
        """Whether the process still runs, and not a later one of the same id.

        A process of another machine is taken to run.
        """
        if self.host != socket.gethostname():
            return True
        import psutil

        try:
            os.kill(self.pid, 0)
        except PermissionError:  # it runs, and is another user's
            pass
        except ProcessLookupError:
            return False
        try:
            return float(psutil.Process(self.pid).create_time()) <= self.since.timestamp() + CLOCK
        except psutil.Error:  # it runs, but when it began is hidden from this user
            return True


def holder_of(path: Path) -> Holder | None:
    """Return who a file says to hold a lock.

    None while a process has the lock and has not named itself, of a file that is damaged or just being
    removed, and for what a dead process left.
    """
    try:
        facts = read_json(path)
        since = dt.datetime.fromisoformat(facts["since"])
        holder = Holder(int(facts["pid"]), str(facts["host"]), str(facts["purpose"]), since)
        return holder if holder.pid > 0 and holder.alive else None
    except (StoreError, KeyError, TypeError, ValueError, OverflowError):
        return None


def held_by(path: Path) -> str:
    """Return who a file says to hold a lock, as a message has it."""
    return str(holder_of(path) or "another process")


def _take_at_once(lock: BaseFileLock, holder: Path | None, name: str, patience: float) -> None:
    """Take a lock that is free; else StoreLockedError, once who took it has had the time to name itself."""
    until = time.monotonic() + NAMING
    while True:
        try:
            _take(lock, holder, name, patience)
        except StoreLockedError:
            if holder is None or holder_of(holder) or time.monotonic() > until:
                raise
        else:
            return


def _take(lock: BaseFileLock, holder: Path | None, name: str, seconds: float) -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        who = "another process" if holder is None else held_by(holder)
        raise StoreLockedError(f"{name} is locked by {who}") from None
