"""Locks of the operating system, which go with their process; files beside them say who holds them."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.errors import StoreError, StoreLockedError
from tasks.files import read_json, write_json_atomically, writing
from tasks.progress import Report, silent

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
    from filelock import FileLock, Timeout

    lock = FileLock(path, is_singleton=False)

    def taken() -> StoreLockedError:
        return StoreLockedError(f"{name} is locked by {held_by(holder) if holder else 'another process'}")

    with writing(path):
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            if not wait:
                raise taken() from None
            report(f"waiting: {taken()}", 0, 0)
            try:
                lock.acquire(timeout=wait)
            except Timeout:
                raise taken() from None
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
    """Return who holds a lock, as its holder wrote, where that is still alive."""
    try:
        facts = read_json(holder)
        pid, host = int(facts["pid"]), facts["host"]
        if host == socket.gethostname():
            os.kill(pid, 0)
    except (StoreError, KeyError, TypeError, ValueError, ProcessLookupError):
        return "another process"  # between taking the lock and naming itself, or a leftover of a dead one
    except PermissionError:
        pass  # alive, another user's
    return f"pid {pid} on {host} ({facts.get('purpose')}) since {facts.get('since')}"
