"""Child processes that exchange lines of JSON with their parent.

A child is a fresh interpreter, never a fork, in which CUDA and Java deadlock. What libraries print
goes to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from tasks.runtime.progress import Report

LOG = logging.getLogger("nightshelf")
GRACE_SECONDS: Final = 5.0  # for a terminated child to end before it is killed
Child = subprocess.Popen[str]
Send = Callable[[dict[str, Any]], None]


@contextmanager
def running(command: Sequence[str], stderr: IO[bytes]) -> Iterator[Child]:
    """Yield a running child, ended after the block.

    A child that calls `end_with_parent` also ends when this process dies.
    """
    search_path = [str(Path.cwd()) if path == "" else path for path in sys.path]
    child = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(search_path)},  # so that it finds the same modules
        start_new_session=True,  # Ctrl-C is for the parent, which ends the child
    )
    with child:  # closes its pipes
        try:
            yield child
        finally:
            end(child)


def end(child: Child) -> None:
    """Terminate a child that still runs; kill it if it does not end in time."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
    if child.poll() is None:
        child.kill()
        child.wait()


def listen(child: Child, report: Report, name: str) -> dict[str, Any]:
    """Pass on a child's progress and log records until it ends; return its last other message."""
    result: dict[str, Any] = {}
    while message := next_message(child, report, name):
        result = message
    return result


def next_message(child: Child, report: Report, name: str) -> dict[str, Any]:
    """Pass on progress and log records until another message and return it; empty if the child ends."""
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    for line in child.stdout:
        message: dict[str, Any] = json.loads(line)
        if "progress" in message:
            report(*message["progress"])
        elif "log" in message:
            LOG.log(message["log"][0], "%s: %s", name, message["log"][1])
        else:
            return message
    child.wait()
    return {}


def open_channel() -> Send:
    """Return a function that sends an object as a line of JSON to the parent.

    It takes over standard output; whatever else is printed there goes to standard error from now
    on.
    """
    sys.stdout.flush()
    lines, lock = os.fdopen(os.dup(1), "w", encoding="utf-8"), threading.Lock()
    os.dup2(2, 1)

    def send(content: dict[str, Any]) -> None:
        with lock:
            lines.write(json.dumps(content) + "\n")
            lines.flush()

    return send


class LogForwarder(logging.Handler):
    """Sends log records to the parent."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self.send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record."""
        self.send({"log": [record.levelno, record.getMessage()]})


def end_with_parent() -> None:
    """Wait until standard input is closed at the other end, then exit at once."""
    while os.read(0, 1024):
        continue
    os._exit(1)
