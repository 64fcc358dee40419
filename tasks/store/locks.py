"""Locks of the operating system, which go with their process, and files that say who holds them."""

from __future__ import annotations

import datetime as dt
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.runtime.errors import StoreError, StoreLockedError
from tasks.runtime.progress import Report, silent
from tasks.store.files import read_json, write_json_atomically, writing

if TYPE_CHECKING:
    from filelock import BaseFileLock

NAMING: Final = 2.0  # seconds in which who takes a lock has named itself, even on a slow disk
AT_ONCE: Final = (
    0.2  # seconds; a lock that was only looked at, or whose file was just removed, is free by then
)


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


def held_by(holder: Path) -> str:
    """Return who a file says to hold a lock, as a message has it."""
    return _named(holder) or "another process"


def _take_at_once(lock: BaseFileLock, holder: Path | None, name: str, patience: float) -> None:
    """Take a lock that is free; else StoreLockedError, once who took it has had the time to name itself."""
    until = time.monotonic() + NAMING
    while True:
        try:
            _take(lock, holder, name, patience)
        except StoreLockedError:
            if holder is None or _named(holder) or time.monotonic() > until:
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


def _named(holder: Path) -> str | None:
    """Return who holds a lock, None between taking it and naming itself, or for a leftover of a dead one."""
    try:
        facts = read_json(holder)
        pid, host = int(facts["pid"]), facts["host"]
        if host == socket.gethostname():
            os.kill(pid, 0)
    except (StoreError, KeyError, TypeError, ValueError, ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass  # alive, another user's
    return f"pid {pid} on {host} ({facts.get('purpose')}) since {facts.get('since')}"
