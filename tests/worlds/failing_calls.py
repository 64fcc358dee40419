"""Calls of the C library that fail, or kill the process, at the n-th in a folder: see failing_calls.c.

The library must be there when a program begins (`environment`), and does nothing until it is armed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from worlds.paths import IMPORTABLE

COUNT, FAIL, KILL, FULL, READ_ONLY = range(5)
"""At the n-th call: nothing, an error or SIGKILL; from it on: a full or read-only disk."""
SOURCE = Path(__file__).with_suffix(".c")


def environment(folder: Path) -> dict[str, str]:
    """Compile the library and return the environment that loads it; skip without a compiler."""
    library, compiler = folder / "failing_calls.so", shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc to have calls of the system fail")
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Werror",
        "-o",
        str(library),
        str(SOURCE),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": IMPORTABLE, "OMP_NUM_THREADS": "1"}


def arm(folder: Path, but: Path | str, log: Path, *, how: int, at: int, error: int) -> None:
    """Count the calls below a folder, except in `but`; at the `at`-th, from 1, do what `how` says.

    Each call is logged: its name, its path, and the second path of a rename, separated by tabs.
    """
    folders = [str(folder).encode(), str(but).encode()]
    ctypes.CDLL(None).faults_arm(*folders, how, ctypes.c_long(at), error, str(log).encode())


def disarm() -> int:
    """Let all calls through again; return the number of calls."""
    calls = ctypes.CDLL(None).faults_disarm
    calls.restype = ctypes.c_long
    return int(calls())


def logged(log: Path) -> list[list[str]]:
    """Return the logged calls in order."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line.split("\t") for line in lines]
