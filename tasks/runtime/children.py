"""A child process that does one piece of work, and lines of JSON between it and its parent.

A fresh interpreter, never a fork: CUDA and Java deadlock in one. What libraries print goes to standard error.
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
GRACE_SECONDS: Final = 5.0  # for a child to end by itself before it is killed
Child = subprocess.Popen[str]
Say = Callable[[dict[str, Any]], None]


@contextmanager
def running(command: Sequence[str], stderr: IO[bytes]) -> Iterator[Child]:
    """Give a running child that does not outlive the block, nor (`end_with_parent`) this process."""
    here = [str(Path.cwd()) if path == "" else path for path in sys.path]
    child = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(here)},  # it finds modules as this process does
        start_new_session=True,  # Ctrl-C is for the parent, which ends the child
    )
    with child:  # closes its pipes
        try:
            yield child
        finally:
            end(child)


def end(child: Child) -> None:
    """End a child that still runs: asked first, killed where that does not help."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
    if child.poll() is None:
        child.kill()
        child.wait()


def listen(child: Child, report: Report, name: str) -> dict[str, Any]:
    """Pass on what a child reports and logs until it ends; return what else it said last."""
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    said: dict[str, Any] = {}
    for line in child.stdout:
        told = json.loads(line)
        if "progress" in told:
            report(*told["progress"])
        elif "log" in told:
            LOG.log(told["log"][0], "%s: %s", name, told["log"][1])
        else:
            said = told
    child.wait()
    return said


def speaker() -> Say:
    """Return what writes one object a line to what was standard output; that now leads to standard error."""
    sys.stdout.flush()
    lines, lock = os.fdopen(os.dup(1), "w", encoding="utf-8"), threading.Lock()
    os.dup2(2, 1)

    def say(content: dict[str, Any]) -> None:
        with lock:
            lines.write(json.dumps(content) + "\n")
            lines.flush()

    return say


class Told(logging.Handler):
    """Passes log records on to the parent."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        self.say({"log": [record.levelno, record.getMessage()]})


def end_with_parent() -> None:
    """Wait until nobody holds the other end of standard input, then end at once."""
    while os.read(0, 1024):
        continue
    os._exit(1)
