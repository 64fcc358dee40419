"""Ctrl-C ends a command and its children in time, whatever the main thread is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from worlds.paths import IMPORTABLE

from tasks.runtime.interruption import EXIT_CODE, interruptible

COMMAND = """
import signal, subprocess, sys, time
from hashlib import pbkdf2_hmac
from tasks.runtime import interruption
interruption.PATIENCE = 1.2
signal.signal(signal.SIGHUP, signal.SIG_IGN if "nohup" in sys.argv else signal.SIG_DFL)

def in_python(): time.sleep(60)
def in_a_library(): pbkdf2_hmac("sha256", b"", b"", 2**30)
def swallowing():
    while True:
        try: time.sleep(60)
        except BaseException: print("swallowed", flush=True)
def as_an_error():
    try: time.sleep(60)
    except KeyboardInterrupt: raise RuntimeError("query interrupted") from None

with interruption.interruptible(lambda: print("outer", flush=True)):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    with interruption.interruptible(lambda: print("continue with --resume", flush=True)):
        print(child.pid, flush=True)
        locals()[sys.argv[1]]()
"""


@pytest.mark.parametrize(
    ("work", "number", "started"),
    [
        ("in_python", signal.SIGINT, ""),
        ("in_python", signal.SIGHUP, ""),
        ("in_a_library", signal.SIGTERM, ""),
        ("swallowing", signal.SIGINT, ""),
        ("as_an_error", signal.SIGTERM, "nohup"),
    ],
)
def test_a_command_ends_with_its_children_whatever_it_is_doing(
    work: str, number: signal.Signals, started: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, work, started],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": IMPORTABLE},
    ) as command:
        assert command.stdout is not None
        child = psutil.Process(int(command.stdout.readline()))
        if started == "nohup":  # which ignores it
            command.send_signal(signal.SIGHUP)
        command.send_signal(number)
        printed, errors = command.communicate(timeout=30)
    assert (command.returncode, errors) == (EXIT_CODE, "")
    assert [line for line in printed.splitlines() if line != "swallowed"] == ["continue with --resume"]
    assert not child.is_running()


def test_what_was_not_interrupted_ends_as_ever_and_leaves_no_handler() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    descriptors = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(ZeroDivisionError), interruptible(lambda: None):
        raise ZeroDivisionError
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert len([*Path("/proc/self/fd").iterdir()]) == descriptors
